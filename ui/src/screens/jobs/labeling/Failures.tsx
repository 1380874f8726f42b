import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { RotateCw } from "lucide-react";

import { post } from "../../../api/client";
import { failuresQuery, type LabelFilter } from "../../../api/labelingQueries";
import { keepJob } from "../../../api/stream";
import type { Job, Labeling, Run } from "../../../api/types";
import { causeWords } from "../../../lib/causes";
import * as format from "../../../lib/format";
import { searchOfSpec } from "../../../lib/labeling";
import { ErrorNote } from "../../../parts/states";

type Props = { job: Job; run: Run | undefined; counts: Labeling["counts"]; isGoing: boolean; filter: LabelFilter; onFilter: (filter: LabelFilter) => void };

/** What failed, by why; and the way to ask these again. */
export function Failures({ job, run, counts, isGoing, filter, onFilter }: Props) {
  const causes = Object.entries(counts.n_by_cause).toSorted(([, a], [, b]) => b - a);
  return (
    <section aria-label="Failures">
      <h2 className="mb-1.5 text-sm">Failures <span className="num font-normal text-muted">{format.whole(counts.n_failed)}</span></h2>
      <div className="card divide-y divide-line">
        {causes.map(([cause, n]) => <Cause key={cause} job={job} cause={cause} n={n} isShown={filter.cause === cause} onShow={(isOn) => onFilter(isOn ? { status: "failed", cause } : {})} />)}
        <Retry job={job} run={run} counts={counts} isGoing={isGoing} />
      </div>
    </section>
  );
}

function Cause({ job, cause, n, isShown, onShow }: { job: Job; cause: string; n: number; isShown: boolean; onShow: (isOn: boolean) => void }) {
  const query = useQuery(failuresQuery(job.id, cause, n));
  const messages = [...new Set((query.data?.items ?? []).map((label) => label.explanation).filter((x): x is string => x !== null))].slice(0, 3);
  const { what, todo } = causeWords(cause);
  return (
    <div className="flex flex-wrap items-start gap-x-3 gap-y-1 px-3.5 py-2.5">
      <span className="num w-10 shrink-0 text-right text-base leading-6 font-semibold text-bad">{format.whole(n)}</span>
      <div className="min-w-0 flex-1 basis-52">
        <p className="text-sm"><span className="font-medium">{what}.</span> <span className="text-muted">{todo}</span></p>
        {messages.length > 0 && (
          <ul className="mt-0.5 space-y-0.5">
            {messages.map((message) => <li key={message} className="truncate font-mono text-[11.5px] text-muted" title={message}>{message}</li>)}
          </ul>
        )}
      </div>
      <button type="button" className="btn min-h-6 px-2 text-xs" aria-pressed={isShown} aria-label={`Show ${format.plural(n, "feature")}: ${what}`} onClick={() => onShow(!isShown)}>{isShown ? "Shown below" : "Show"}</button>
    </div>
  );
}

function Retry({ job, run, counts, isGoing }: { job: Job; run: Run | undefined; counts: Labeling["counts"]; isGoing: boolean }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const n = counts.n_left_failed;
  const retry = useMutation({
    mutationFn: () => post<Job>("jobs", { kind: "labeling", spec: { ...job.spec, retry_of: job.id, query: "" } }),
    onSuccess: (next) => {
      keepJob(client, next);
      void navigate({ to: "/jobs/$job", params: { job: String(next.id) } });
    },
  });
  const nSince = counts.n_failed - n;
  return (
    <div className="flex flex-wrap items-center gap-2 px-3.5 py-2.5 text-sm">
      {n === 0 ? (
        <p className="text-muted">All of these have a label by now.</p>
      ) : (
        <>
          <button type="button" className="btn" disabled={isGoing || retry.isPending} onClick={() => retry.mutate()}><RotateCw size={13} aria-hidden /> {retry.isPending ? "Starting…" : `Retry these ${format.whole(n)}`}</button>
          {run && !isGoing && <Link to="/s/$sae/label" params={{ sae: run.sae }} search={{ ...searchOfSpec({ ...job.spec, query: "" }, String(run.id), job.id) }} className="btn">Retry with changes</Link>}
          {isGoing && <span className="text-xs text-muted">once this job has ended</span>}
          {nSince > 0 && <span className="num text-xs text-muted">{format.whole(nSince)} of the {format.whole(counts.n_failed)} have a label since</span>}
        </>
      )}
      {retry.isError && <div className="basis-full"><ErrorNote error={retry.error} what="The retry did not start." /></div>}
    </div>
  );
}
