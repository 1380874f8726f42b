import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { ArrowRight, Columns2, ListTodo } from "lucide-react";
import { useState } from "react";

import { post } from "../../../api/client";
import { labelingQuery, templateQuery, type LabelFilter } from "../../../api/labelingQueries";
import { runQuery } from "../../../api/queries";
import { keepJob } from "../../../api/stream";
import type { Job, Labeling, Run } from "../../../api/types";
import * as format from "../../../lib/format";
import { searchOfSpec } from "../../../lib/labeling";
import { isOver } from "../../../lib/progress";
import { Num } from "../../../parts/small";
import { Bones, ErrorNote } from "../../../parts/states";
import { DryAnswers } from "./DryAnswers";
import { Failures } from "./Failures";
import { JobPicker } from "./JobPicker";
import { Results } from "./Results";

const POLL_MS = 2000;

/** What a labeling job has given so far, while it goes and afterwards. */
export default function LabelingPart({ job }: { job: Job }) {
  const isGoing = !isOver(job.state) && job.state !== "paused";
  const isDry = Number(job.spec["dry_run"] ?? 0) > 0;
  const query = useQuery({ ...labelingQuery(job.id, `${job.state} ${job.attempt}`), refetchInterval: isGoing ? POLL_MS : false, enabled: !isDry });
  const run = useQuery(runQuery(String(job.spec["run"] ?? "")));
  const [filter, setFilter] = useState<LabelFilter>({});
  const counts = query.data?.counts;
  return (
    <>
      <Asked job={job} run={run.data} />
      {isDry ? (
        job.result && <DryRunPart job={job} run={run.data} />
      ) : (
        <>
          {query.isError && <ErrorNote error={query.error} what="The counts could not be read." retry={() => void query.refetch()} />}
          {!counts && query.isPending && <Bones rows={2} className="h-10" />}
          {counts && <Counts counts={counts} job={job} />}
          <Leftover job={job} run={run.data} />
          <Actions job={job} run={run.data} hasLabels={(counts?.n_labeled ?? 0) > 0} />
          {counts && counts.n_failed > 0 && <Failures job={job} run={run.data} counts={counts} isGoing={isGoing} filter={filter} onFilter={setFilter} />}
          {counts && <Results job={job} run={run.data} counts={counts} isGoing={isGoing} filter={filter} onFilter={setFilter} />}
        </>
      )}
    </>
  );
}

/** Who was asked, in which words, about what. */
function Asked({ job, run }: { job: Job; run: Run | undefined }) {
  const { provider, model, template, query, budget, budget_tokens: tokens, retry_of: retried } = job.spec as Record<string, string | number | null | undefined>;
  const [ref = "", version] = typeof template === "string" ? template.split("@") : [];
  const asked = useQuery({ ...templateQuery(ref, version ? Number(version) : undefined), enabled: ref !== "" });
  return (
    <dl className="grid grid-cols-2 gap-x-6 gap-y-2 text-sm lg:grid-cols-4">
      <Fact name="Labeler">{provider === "lexical" ? "no model: tokens and text" : `${provider}, ${model}`}</Fact>
      {ref && (
        <Fact name="Template">
          {asked.data ? <Link to="/templates/$ref" params={{ ref: String(asked.data.id) }} className="underline">{asked.data.name}, version {asked.data.version}</Link> : asked.isError ? "not there any more" : "…"}
        </Fact>
      )}
      <Fact name="Features">
        {retried ? <>what failed in <Link to="/jobs/$job" params={{ job: String(retried) }} className="underline">job {retried}</Link>{query ? <>, <code className="text-xs">{query}</code></> : ""}</> : query ? <code className="text-xs [overflow-wrap:anywhere]">{query}</code> : "all"}
        {run && <span className="text-muted"> of {run.sae_name}, run {run.name}</span>}
      </Fact>
      {(budget || tokens) && <Fact name="Budget">{[budget && format.usd(Number(budget)), tokens && `${format.whole(Number(tokens))} tokens`].filter(Boolean).join(", ")}</Fact>}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="eyebrow">{name}</dt>
      <dd className="[overflow-wrap:anywhere]">{children}</dd>
    </div>
  );
}

function Counts({ counts, job }: { counts: Labeling["counts"]; job: Job }) {
  const asks = job.spec["provider"] !== "lexical";
  const figures: [name: string, text: string, tip: string][] = [
    ["Labeled", format.whole(counts.n_labeled), "Features that got a label, by rule or by asking."],
    ["Abstained", format.whole(counts.n_abstained), "Features in which no clear pattern was found: an answer, not a failure."],
    ["Failed", format.whole(counts.n_failed), counts.n_failed ? `${format.whole(counts.n_left_failed)} of them have no label since.` : "Every question was answered."],
    ["Linted", format.whole(counts.n_linted), "Labels that something speaks against; they wait for a person before they come into force."],
  ];
  if (asks) {
    figures.push(
      ["Tokens in", format.brief(counts.n_tokens_in), `${format.whole(counts.n_tokens_in)} tokens asked and paid in this job; answers known before cost nothing.`],
      ["Tokens out", format.brief(counts.n_tokens_out), `${format.whole(counts.n_tokens_out)} tokens answered.`],
      ["Spent", counts.usd === null ? "no price known" : format.usd(counts.usd), counts.usd === null ? "The model's price is not known; give one under More when you label." : `$${counts.usd} by the provider's counts of tokens.`],
    );
  }
  return (
    <section aria-label="Counts">
      <dl className={`card grid grid-cols-2 gap-x-4 gap-y-3 p-3.5 sm:grid-cols-4 ${asks ? "lg:grid-cols-7" : ""}`}>
        {figures.map(([name, text, tip]) => (
          <div key={name}>
            <dt className="eyebrow">{name}</dt>
            <dd className="mt-px text-base font-semibold"><Num tip={tip}>{text}</Num></dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** What the budget left over, and how to go on. */
function Leftover({ job, run }: { job: Job; run: Run | undefined }) {
  const left = job.result?.["n_left"];
  if (job.result?.["is_over_budget"] !== true) return null;
  return (
    <p role="status" className="flex flex-wrap items-center gap-x-3 gap-y-2 rounded-lg border border-line bg-raised px-3.5 py-2.5 text-sm">
      <span className="num">The budget is reached: {typeof left === "number" ? format.plural(left, "feature was", "features were") : "some features were"} not asked about.</span>
      {run && <Link to="/s/$sae/label" params={{ sae: run.sae }} search={{ ...searchOfSpec(job.spec, String(run.id)), budget: undefined, budget_tokens: undefined }} className="btn">Go on with another budget</Link>}
    </p>
  );
}

function Actions({ job, run, hasLabels }: { job: Job; run: Run | undefined; hasLabels: boolean }) {
  const navigate = useNavigate();
  const [isPicking, setPicking] = useState(false);
  if (!run || !hasLabels) return null;
  return (
    <div className="flex flex-wrap gap-2">
      <Link to="/s/$sae/review" params={{ sae: run.sae }} search={{ run: String(run.id), q: "is:machine" }} className="btn btn-main"><ListTodo size={14} aria-hidden /> Review labels</Link>
      <button type="button" className="btn" onClick={() => setPicking(true)}><Columns2 size={14} aria-hidden /> Compare with…</button>
      <Link to="/s/$sae/features" params={{ sae: run.sae }} search={{ run: String(run.id), q: "is:machine" }} className="btn">Features <ArrowRight size={14} aria-hidden /></Link>
      {isPicking && <JobPicker sae={run.sae} besides={job.id} title={`Compare job ${job.id} with`} onClose={() => setPicking(false)} onPick={(other) => void navigate({ to: "/labelings/compare", search: { a: job.id, b: other } })} />}
    </div>
  );
}

function DryRunPart({ job, run }: { job: Job; run: Run | undefined }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const start = useMutation({
    mutationFn: () => post<Job>("jobs", { kind: "labeling", spec: { ...job.spec, dry_run: 0 } }),
    onSuccess: (next) => {
      keepJob(client, next);
      void navigate({ to: "/jobs/$job", params: { job: String(next.id) } });
    },
  });
  return (
    <section aria-label="Answers" className="space-y-3">
      <h2 className="text-sm">Answers</h2>
      <DryAnswers job={job} sae={run?.sae} />
      {start.isError && <ErrorNote error={start.error} what="The labeling did not start." />}
      <div className="flex flex-wrap gap-2">
        <button type="button" className="btn btn-main" disabled={start.isPending} onClick={() => start.mutate()}>{start.isPending ? "Starting…" : "Ask about all"}</button>
        {run && <Link to="/s/$sae/label" params={{ sae: run.sae }} search={searchOfSpec(job.spec, String(run.id))} className="btn">Change something first</Link>}
      </div>
    </section>
  );
}
