import { ChevronLeft, ChevronRight, History } from "lucide-react";

import type { Queue } from "../../api/reviewQueries";
import type { Saves } from "../../api/saves";
import { countDone, type Desk } from "../../lib/desk";
import * as format from "../../lib/format";
import { Num, Progress } from "../../parts/small";

export type Standing = { nReviewed: number; nLeft: number; nSkipped: number; pace: number | null };

/** The server's counts with what was decided since it gave them. */
export function standingOf(queue: Queue, desk: Desk): Standing {
  const { n, nReviewed } = countDone(desk.done, queue.ids);
  return {
    nReviewed: (queue.progress?.n_reviewed ?? 0) + nReviewed,
    nLeft: Math.max(0, queue.n_waiting - n),
    nSkipped: queue.n_skipped + n - nReviewed,
    pace: queue.progress?.per_minute ?? null,
  };
}

type Props = { standing: Standing; saves: Saves; nMatches: number; canLook: (by: 1 | -1) => boolean; onLook: (by: 1 | -1) => void; onSteps: () => void };

/** How far one is: done of all, pace, time left; and the way to look ahead and back. */
export function QueueProgress({ standing, saves, nMatches, canLook, onLook, onSteps }: Props) {
  const { nReviewed, nLeft, nSkipped, pace } = standing;
  const all = nReviewed + nLeft;
  return (
    <div className="num flex flex-wrap items-center gap-x-3 gap-y-1 text-sm" role="group" aria-label="Progress">
      <div className="flex items-center gap-1">
        <button type="button" className="btn px-1.5" disabled={!canLook(-1)} onClick={() => onLook(-1)} aria-label="Look back" title="Look back without deciding (k or ←)"><ChevronLeft size={16} aria-hidden /></button>
        <button type="button" className="btn px-1.5" disabled={!canLook(1)} onClick={() => onLook(1)} aria-label="Look ahead" title="Look ahead without deciding (j or →)"><ChevronRight size={16} aria-hidden /></button>
      </div>
      <div className="w-32 max-sm:w-full max-sm:order-last"><Progress done={nReviewed} total={Math.max(all, 1)} label="Reviewed" /></div>
      <Num tip={`You reviewed ${format.plural(nReviewed, "feature")} in the last twelve hours. ${format.whole(nLeft)} of the ${format.whole(nMatches)} that match the query wait for a review.`}>
        {all > 0 ? <><b className="font-semibold">{format.whole(nReviewed)}</b> of {format.whole(all)} done</> : "Nothing waits"}
      </Num>
      {nLeft > 0 && <span className="text-muted">{format.whole(nLeft)} left</span>}
      {nSkipped > 0 && <span className="text-muted">{format.whole(nSkipped)} skipped</span>}
      {pace !== null && (
        <Num tip="Features per minute in the last twelve hours, breaks of over five minutes left out; the time left is at that pace." className="text-muted">
          {format.value(pace)} a minute{nLeft > 0 && ` · ${format.duration((nLeft / pace) * 60)} to go`}
        </Num>
      )}
      {saves.waiting.length > 0 && <span className="late text-xs text-muted">saving {saves.waiting.length > 1 ? format.whole(saves.waiting.length) : ""}…</span>}
      <button type="button" className="btn btn-quiet ml-auto" onClick={onSteps} title="What you did, and what Undo takes back next"><History size={14} aria-hidden /> Your steps</button>
    </div>
  );
}
