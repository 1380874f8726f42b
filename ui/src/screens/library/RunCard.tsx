import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ArrowRight, Tags, TriangleAlert } from "lucide-react";
import { memo } from "react";

import { post } from "../../api/client";
import { jobsQuery } from "../../api/queries";
import type { Job, Run } from "../../api/types";
import { keepJob } from "../../api/stream";
import * as format from "../../lib/format";
import { isOver, rateText, readProgress } from "../../lib/progress";
import { Num, Progress, StateBadge } from "../../parts/small";
import { ErrorNote } from "../../parts/states";
import { DensityHistogram } from "./DensityHistogram";

export const RunCard = memo(function RunCard({ run }: { run: Run }) {
  const hasFeatures = run.snapshot !== null;
  const labeling = useLabeling(run);
  const target = { to: "/s/$sae/features" as const, params: { sae: run.sae }, search: { run: String(run.id) } };
  return (
    <article className="card p-4" aria-label={`${run.sae_name}, run ${run.name}`}>
      <div className="flex flex-wrap items-start gap-x-6 gap-y-3">
        <div className="min-w-0 flex-1 basis-72">
          <h2 className="flex flex-wrap items-center gap-2 text-base">
            {hasFeatures ? <Link {...target} className="truncate hover:underline">{run.sae_name}</Link> : <span className="truncate">{run.sae_name}</span>}
            {run.is_partial && <span className="rounded-full bg-run-wash px-2 text-xs font-medium text-run">partial</span>}
            {run.is_forced && <Forced run={run} />}
          </h2>
          <p className="mt-0.5 truncate text-sm text-muted">
            {run.model} · <code className="text-xs">{run.hook_point}</code>
          </p>
          <p className="truncate text-sm text-muted">
            {run.corpus} · run {run.name} · <time dateTime={run.created_at} title={run.created_at}>{format.ago(run.created_at)}</time>
          </p>
        </div>
        {run.density_histogram && <DensityHistogram counts={run.density_histogram} nDead={run.n_dead} />}
        <Actions run={run} isLabeling={labeling !== undefined} />
      </div>
      {hasFeatures && <Figures run={run} />}
      {run.job !== null && run.job_state && (!isOver(run.job_state) || (run.job_state === "failed" && run.state === "pending")) && <JobLine what="Extraction" id={run.job} state={run.job_state} progress={run.job_progress} />}
      {labeling && <JobLine what="Labeling" {...labeling} />}
    </article>
  );
});

/** The job that labels this run, while it does. */
function useLabeling(run: Run): Job | undefined {
  const jobs = useInfiniteQuery(jobsQuery());
  const known = (jobs.data?.pages ?? []).flatMap((page) => page.items);
  return known.find((job) => job.kind === "labeling" && job.spec["run"] === run.uid && !isOver(job.state));
}

function Forced({ run }: { run: Run }) {
  const verdict = run.self_check?.["verdict"];
  return (
    <span
      className="inline-flex items-center gap-1 rounded-full bg-bad-wash px-2 text-xs font-medium text-bad"
      data-tip={`The self-check refused this SAE and the run went on all the same.${typeof verdict === "string" ? `\n${verdict}` : ""}`}
      tabIndex={0}
    >
      <TriangleAlert size={11} aria-hidden /> forced
    </span>
  );
}

const share = (n: number | null, of: number): string => (n === null ? "–" : format.percent(of ? n / of : 0));

function Figures({ run }: { run: Run }) {
  const { labels, n_features: n } = run;
  const quality = (name: string): number | null => run.quality?.[name] ?? null;
  const excluded = Object.entries(run.n_excluded ?? {}).map(([cause, k]) => `${format.whole(k)} ${cause}`).join(", ");
  const figures: [string, string, string][] = [
    ["Features", format.whole(n), `Width of the SAE: ${format.whole(n)} coordinates of its hidden vector.`],
    ["Tokens", format.brief(run.n_tokens), `${format.whole(run.n_tokens)} counted positions of ${format.whole(run.n_positions)} read, in ${format.whole(run.n_contexts)} contexts of ${format.whole(run.n_documents)} documents.\nNot counted: ${excluded || "none"}.`],
    ["Alive", share(run.n_alive, n), `${format.whole(run.n_alive)} of ${format.whole(n)} features fire on at least one counted position.`],
    ["Dead", format.whole(run.n_dead), `${format.whole(run.n_dead)} of ${format.whole(n)} features never fire in this run; ${format.whole(run.n_sink_only)} more fire at excluded positions only.`],
    ["Dense", format.whole(run.n_dense), `${format.whole(run.n_dense)} of ${format.whole(n)} features fire on more than 10 % of counted positions.`],
    ["L0", format.value(quality("l0")), `Features that fire per counted token, on average over ${format.whole(run.n_tokens)} tokens.`],
    ["FVU", format.value(quality("fvu")), `Fraction of variance unexplained: Σ‖x−x̂‖² / Σ‖x−x̄‖² over ${format.whole(quality("n_measured"))} measured positions. Lower is better.\nWith sinks: ${format.value(quality("fvu_with_sinks"))}.`],
    ["Labeled", share(labels.n_labeled, n), `${format.whole(labels.n_labeled)} of ${format.whole(n)} features have a label, ${format.whole(labels.n_human)} by a person.`],
    ["Reviewed", share(labels.n_reviewed, n), `Somebody accepted or rejected a label of ${format.whole(labels.n_reviewed)} of ${format.whole(n)} features.`],
  ];
  return (
    <dl className="mt-3.5 grid grid-cols-3 gap-x-4 gap-y-2.5 border-t border-line pt-3 sm:grid-cols-5 lg:grid-cols-9">
      {figures.map(([name, text, tip]) => (
        <div key={name}>
          <dt className="eyebrow">{name}</dt>
          <dd className="mt-px font-medium"><Num tip={tip}>{text}</Num></dd>
        </div>
      ))}
    </dl>
  );
}

function Actions({ run, isLabeling }: { run: Run; isLabeling: boolean }) {
  const client = useQueryClient();
  const label = useMutation({
    mutationFn: () => post<Job>("jobs", { kind: "labeling", spec: { run: String(run.id), provider: "lexical" } }),
    onSuccess: (job) => keepJob(client, job),
  });
  if (run.snapshot === null) return null;
  const canLabel = run.state === "finished" && run.labels.n_labeled === 0 && !isLabeling;
  return (
    <div className="flex flex-wrap items-center gap-2">
      {canLabel && (
        <button type="button" className="btn" disabled={label.isPending || label.isSuccess} onClick={() => label.mutate()} title="Labels from the tokens that each feature fires on; needs no language model">
          <Tags size={14} aria-hidden /> {label.isSuccess ? "Labeling…" : "Label all features"}
        </button>
      )}
      <Link to="/s/$sae/features" params={{ sae: run.sae }} search={{ run: String(run.id) }} className="btn btn-main">
        Features <ArrowRight size={14} aria-hidden />
      </Link>
      {label.isError && <div className="basis-full"><ErrorNote error={label.error} what="Labeling did not start." /></div>}
    </div>
  );
}

function JobLine({ what, id, state, progress: told }: Pick<Job, "id" | "state" | "progress"> & { what: string }) {
  const progress = readProgress(told);
  return (
    <div className="mt-3 flex flex-wrap items-center gap-x-3 gap-y-1.5 border-t border-line pt-3 text-sm">
      <StateBadge state={state} />
      <span>{what}</span>
      {progress && state === "running" && (
        <>
          <span className="text-muted">{progress.phase}</span>
          <div className="min-w-24 flex-1"><Progress done={progress.done} total={progress.total} label={progress.phase} /></div>
          <span className="num text-muted">
            {progress.share !== null && `${Math.floor(progress.share * 100)} %`}
            {progress.rate !== null && ` · ${rateText(progress)}`}
            {progress.eta_s !== null && ` · ${format.duration(progress.eta_s)} left`}
          </span>
        </>
      )}
      <Link to="/jobs/$job" params={{ job: String(id) }} className="ml-auto underline">Job {id}</Link>
    </div>
  );
}
