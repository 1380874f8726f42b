import { useQuery } from "@tanstack/react-query";

import { stepsQuery } from "../../api/reviewQueries";
import * as format from "../../lib/format";
import { Dialog } from "../../parts/Dialog";
import { Bones, ErrorNote } from "../../parts/states";
import { stepWords } from "./Notices";

/** A reviewer's newest steps: what Undo takes back next, and what it took back already. */
export default function StepsDialog({ sae, reviewer, onGo, onClose }: { sae: string; reviewer: string; onGo: (feature: number) => void; onClose: () => void }) {
  const query = useQuery(stepsQuery(sae, reviewer));
  const steps = query.data?.items ?? [];
  return (
    <Dialog title={`Steps of ${reviewer}`} label={`Steps of ${reviewer}`} width="560px" onClose={onClose}>
      {query.isPending && <Bones rows={6} />}
      {query.isError && <ErrorNote error={query.error} what="The steps could not be read." retry={() => void query.refetch()} />}
      {query.isSuccess && steps.length === 0 && <p className="text-sm text-muted">None yet.</p>}
      <ol className="divide-y divide-line text-sm">
        {steps.map((step) => (
          <li key={step.id} className="flex items-baseline gap-2.5 py-1.5">
            <button type="button" className="num w-16 shrink-0 rounded text-left font-mono text-xs text-muted underline hover:text-fg" onClick={() => onGo(step.feature_index)}>#{step.feature_index}</button>
            <span className={`min-w-0 flex-1 [overflow-wrap:anywhere] ${step.undone_at ? "text-muted line-through" : ""}`}>{stepWords(step)}</span>
            {step.undone_at && <span className="text-xs text-muted">taken back</span>}
            <time className="text-xs whitespace-nowrap text-muted" dateTime={step.created_at} title={step.created_at}>{format.ago(step.created_at)}</time>
          </li>
        ))}
      </ol>
    </Dialog>
  );
}
