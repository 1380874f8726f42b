import { Check, Copy as CopyIcon } from "lucide-react";
import { useState } from "react";

import { announce } from "../lib/live";

export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https the clipboard is closed to pages; a hidden field still copies.
    const field = document.createElement("textarea");
    field.value = text;
    (document.querySelector("dialog:modal") ?? document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  announce("Copied");
}

export function Copy({ text, label, className = "btn" }: { text: string; label: string; className?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await copyText(text);
    setDone(true);
    window.setTimeout(() => setDone(false), 1500);
  };
  const Icon = done ? Check : CopyIcon;
  return (
    <button type="button" className={className} onClick={copy}><Icon size={13} aria-hidden /> {done ? "Copied" : label}</button>
  );
}

/** A command line that can be copied. */
export function Command({ text }: { text: string }) {
  return (
    <div className="flex items-start gap-2 rounded-lg border border-line bg-raised px-3 py-2 text-left">
      <code className="min-w-0 flex-1 self-center text-xs whitespace-pre-wrap [overflow-wrap:anywhere]">{text}</code>
      <Copy text={text} label="Copy" className="btn" />
    </div>
  );
}
