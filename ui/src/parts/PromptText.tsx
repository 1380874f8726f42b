import { useState } from "react";

import { Copy } from "./Copy";
import { Segmented } from "./small";

type Props = { system: string; user: string; json: unknown; label: string };

/** A question as it is sent: the two texts, or the JSON that decides the answer. */
export function PromptText({ system, user, json, label }: Props) {
  const [view, setView] = useState<"text" | "json">("text");
  const whole = JSON.stringify(json, null, 2);
  return (
    <div>
      <div className="mb-2 flex flex-wrap items-center gap-2">
        <Segmented label={`${label}: as`} value={view} onChange={setView} options={[{ value: "text", text: "Text" }, { value: "json", text: "JSON" }]} />
        <span className="ml-auto"><Copy text={view === "json" ? whole : `${system}\n${user}`} label="Copy" className="btn btn-quiet text-xs" /></span>
      </div>
      {view === "json" ? (
        <Mono label={`${label}, JSON`} text={whole} />
      ) : (
        <div className="space-y-3">
          {system.trim() && <div><h3 className="eyebrow mb-1">System</h3><Mono label={`${label}, system`} text={system.trim()} /></div>}
          <div><h3 className="eyebrow mb-1">User</h3><Mono label={`${label}, user`} text={user.trim()} /></div>
        </div>
      )}
    </div>
  );
}

/** Text in mono that keeps its lines; a long one scrolls in its box, and takes the focus for that. */
export function Mono({ text, label }: { text: string; label: string }) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <pre aria-label={label} role="group" tabIndex={0} dir="auto" className="max-h-[min(48dvh,34rem)] overflow-auto rounded-lg border border-line bg-raised px-3 py-2.5 text-xs leading-[1.55] whitespace-pre-wrap [overflow-wrap:anywhere]">{text}</pre>
  );
}
