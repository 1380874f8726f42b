import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { X } from "lucide-react";

import { jobQuery } from "../../api/queries";
import type { Job, LabelingPlan } from "../../api/types";
import * as format from "../../lib/format";
import { isOver, readProgress } from "../../lib/progress";
import { causeOf, ErrorNote } from "../../parts/states";
import { Progress, StateBadge } from "../../parts/small";
import { DryAnswers } from "../jobs/labeling/DryAnswers";

const POLL_MS = 1500;

/** A dry run as it goes, and what was answered, where it was asked for. */
export function DryRun({ id, sae, plan, onClose }: { id: number; sae: string; plan: LabelingPlan | undefined; onClose: () => void }) {
  const query = useQuery({ ...jobQuery(id), refetchInterval: (q) => (q.state.data && isOver(q.state.data.state) ? false : POLL_MS) });
  const job = query.data;
  if (query.isError && !job) return <p role="alert" className="flex items-center gap-2 text-sm text-muted">The dry run of before is gone: {causeOf(query.error)} <button type="button" className="btn" onClick={onClose}>Close</button></p>;
  if (!job) return null;
  return (
    <section aria-label="Dry run" className="space-y-2.5 border-t border-line pt-3">
      <header className="flex flex-wrap items-center gap-2">
        <h2 className="text-sm">Dry run</h2>
        {job.state !== "succeeded" && <StateBadge state={job.state} />}
        <Link to="/jobs/$job" params={{ job: String(job.id) }} className="text-xs underline">job {job.id}</Link>
        <button type="button" className="btn btn-quiet ml-auto px-1.5" aria-label="Close the dry run" onClick={onClose}><X size={14} aria-hidden /></button>
      </header>
      <Going job={job} />
      {job.state === "failed" && <ErrorNote error={new Error(job.error_message ?? "It failed without a word.")} what="The dry run failed." />}
      {job.result && <DryAnswers job={job} sae={sae} />}
      {job.result && plan?.is_measured && plan.n_features > 0 && (
        <p className="num text-sm">
          Measured by such answers, {format.plural(plan.n_features, "feature")} {plan.n_features === 1 ? "takes" : "take"} {plan.usd === null ? `about ${format.brief(plan.n_tokens_in + plan.n_tokens_out)} tokens` : `about ${format.usd(plan.usd)}`}{plan.seconds !== null && ` and ${format.duration(plan.seconds)}`}.
        </p>
      )}
    </section>
  );
}

function Going({ job }: { job: Job }) {
  const progress = readProgress(job.progress);
  if (isOver(job.state)) return null;
  return (
    <div>
      <p className="mb-1 text-xs text-muted">{progress ? `${progress.phase}…` : "waiting for its turn…"}</p>
      <Progress done={progress?.done ?? 0} total={progress?.total ?? null} label="Dry run" />
    </div>
  );
}
