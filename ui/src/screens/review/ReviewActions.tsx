import type { Label } from "../../api/types";
import { Key } from "./Key";

export type Deeds = { accept: () => void; edit: () => void; write: () => void; reject: () => void; skip: () => void; undo: () => void };
type Props = { deeds: Deeds; chosen: Label | undefined; isReady: boolean };

/** What can be done with the feature on screen; each button says its key. */
export function ReviewActions({ deeds, chosen, isReady }: Props) {
  const of = chosen ? ` “${chosen.semantic_label}”` : "";
  return (
    <div className="grid grid-cols-3 gap-1.5" role="group" aria-label="Decide">
      <Action keyName="a" text="Accept" title={`Accept${of} and go on`} isMain isOff={!isReady || !chosen} run={deeds.accept} />
      <Action keyName="e" text="Edit" title={`Edit${of}: it becomes your label`} isOff={!isReady || !chosen} run={deeds.edit} />
      <Action keyName="n" text="Write" title="Write a label of your own" isOff={!isReady} run={deeds.write} />
      <Action keyName="r" text="Reject" title={`Reject${of} with a reason`} isOff={!isReady || !chosen || chosen.review_state === "rejected"} run={deeds.reject} />
      <Action keyName="s" text="Skip" title="Not now: it stays out of your queue for twelve hours" isOff={!isReady} run={deeds.skip} />
      <Action keyName="u" text="Undo" title="Take back your last step; again, the one before it" isOff={!isReady} run={deeds.undo} />
    </div>
  );
}

type ActionProps = { keyName: string; text: string; title: string; isMain?: boolean; isOff: boolean; run: () => void };

function Action({ keyName, text, title, isMain = false, isOff, run }: ActionProps) {
  return (
    <button type="button" className={`btn justify-between ${isMain ? "btn-main" : ""}`} title={`${title} (${keyName})`} aria-keyshortcuts={keyName} disabled={isOff} onClick={run}>
      {text} <Key text={keyName} onMain={isMain} />
    </button>
  );
}
