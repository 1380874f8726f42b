import { useState, type FormEvent } from "react";

import { setReviewer } from "../../lib/kept";

/** Asks once who reviews; the name stays in this browser until it is changed. */
export function ReviewerForm({ name, onDone }: { name: string; onDone?: () => void }) {
  const [text, setText] = useState(name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!text.trim()) return;
    setReviewer(text);
    onDone?.();
  };
  return (
    <form onSubmit={submit} className="space-y-3" aria-label="Who reviews">
      <p className="text-sm text-muted">Your name stands with what you decide, and says whose steps Undo takes back. This browser keeps it.</p>
      <label className="block text-xs font-medium">
        Your name
        <input className="field mt-0.5 w-full" autoFocus required maxLength={200} autoComplete="name" value={text} onChange={(event) => setText(event.target.value)} />
      </label>
      <button type="submit" className="btn btn-main" disabled={!text.trim()}>{name ? "Go on" : "Begin"}</button>
    </form>
  );
}
