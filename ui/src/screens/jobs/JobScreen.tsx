import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ArrowRight } from "lucide-react";
import { lazy, Suspense, useState } from "react";

import { ApiError, get } from "../../api/client";
import { jobQuery, runsQuery } from "../../api/queries";
import { keepJob, useStream } from "../../api/stream";
import type { Job, JobEvent } from "../../api/types";
import * as format from "../../lib/format";
import { doneText, isOver, rateText, readProgress, type JobProgress } from "../../lib/progress";
import { useTitle } from "../../lib/title";
import { Copy } from "../../parts/Copy";
import { Progress, StateBadge } from "../../parts/small";
import { Bones, Empty, ErrorNote } from "../../parts/states";
import { JobActions } from "./JobActions";
import { jobName } from "./jobName";

const LabelingPart = lazy(() => import("./labeling/LabelingPart"));
const route = getRouteApi("/jobs/$job");
const POLL_MS = 2000;

/** A job's events: by its stream, and by asking again where the stream does not come through. */
function useEvents(id: number, isKnown: boolean): JobEvent[] {
  const client = useQueryClient();
  const [events, setEvents] = useState<JobEvent[]>([]);
  const add = (found: JobEvent[]) => setEvents((before) => {
    const seen = new Set(before.map((event) => event.seq));
    const fresh = found.filter((event) => !seen.has(event.seq));
    return fresh.length ? [...before, ...fresh].toSorted((a, b) => a.seq - b.seq) : before;
  });
  const isOpen = useStream(isKnown ? `jobs/${id}/stream` : null, { job: (job) => keepJob(client, job), event: (event) => add([event]) });
  useQuery({
    queryKey: ["job-events", id],
    queryFn: async ({ signal }) => {
      const found = await get<{ job: Job; items: JobEvent[] }>(`jobs/${id}/events`, { after: 0 }, signal);
      keepJob(client, found.job);
      add(found.items);
      return found.items.length;
    },
    enabled: isKnown,
    refetchInterval: isOpen ? false : POLL_MS,
  });
  return events;
}

export function JobScreen() {
  const { job } = route.useParams();
  return <JobPage key={job} text={job} />;
}

function JobPage({ text }: { text: string }) {
  const id = /^\d{1,15}$/.test(text) ? Number(text) : -1;
  const query = useQuery({ ...jobQuery(id), enabled: id > 0 });
  const events = useEvents(id, query.isSuccess);
  const job = query.data;
  useTitle(job ? jobName(job) : "Job");
  if (id <= 0 || (query.error instanceof ApiError && query.error.status === 404)) return <Empty level={1} title={`There is no job ${text}`}><Link to="/jobs" className="btn">All jobs</Link></Empty>;
  if (query.isError && !job) return <div className="p-6"><ErrorNote error={query.error} retry={() => void query.refetch()} /></div>;
  if (!job) return <div className="mx-auto max-w-4xl p-6"><Bones rows={6} className="h-10" /></div>;
  const progress = readProgress(job.progress);
  const isLabeling = job.kind === "labeling";
  return (
    <article className={`mx-auto space-y-5 px-4 py-5 sm:px-6 ${isLabeling ? "max-w-6xl" : "max-w-4xl"}`}>
      <header className="flex flex-wrap items-start gap-3">
        <div className="min-w-0 flex-1 basis-64">
          <p className="text-xs text-muted"><Link to="/jobs" className="hover:underline">Jobs</Link> / <span className="num">#{job.id}</span></p>
          <h1 className="mt-0.5 flex flex-wrap items-center gap-2 text-lg">{jobName(job)} <StateBadge state={job.state} /></h1>
          <Times job={job} />
        </div>
        <JobActions job={job} />
      </header>
      {job.error_message && (
        <section role="alert" className="rounded-lg bg-bad-wash px-3.5 py-3 text-sm">
          <h2 className="text-sm">{job.error_class ?? "Failed"}</h2>
          <p className="mt-1 whitespace-pre-wrap [overflow-wrap:anywhere]">{job.error_message}</p>
          <div className="mt-2"><Copy text={`${job.error_class}: ${job.error_message}`} label="Copy" /></div>
        </section>
      )}
      {progress && <ProgressPanel progress={isLabeling ? { ...progress, figures: [] } : progress} isOver={isOver(job.state)} />}
      {isLabeling && <Suspense fallback={<Bones rows={5} className="h-9" />}><LabelingPart job={job} /></Suspense>}
      {job.run !== null && !isLabeling && <RunLink job={job} />}
      <Events events={events} />
      <details className="card px-3.5 py-2.5 text-sm">
        <summary className="font-medium">Spec</summary>
        <pre className="mt-2 overflow-x-auto text-xs">{JSON.stringify(job.spec, null, 2)}</pre>
        <Copy text={JSON.stringify(job.spec, null, 2)} label="Copy JSON" />
      </details>
      {job.result && (
        <details className="card px-3.5 py-2.5 text-sm">
          <summary className="font-medium">Result</summary>
          <pre className="mt-2 overflow-x-auto text-xs">{JSON.stringify(job.result, null, 2)}</pre>
        </details>
      )}
    </article>
  );
}

function Times({ job }: { job: Job }) {
  const from = job.started_at ? Date.parse(job.started_at) : null;
  const to = job.finished_at ? Date.parse(job.finished_at) : null;
  return (
    <p className="num text-sm text-muted">
      asked for <time dateTime={job.created_at} title={job.created_at}>{format.ago(job.created_at)}</time>
      {from !== null && to !== null && ` · took ${format.duration((to - from) / 1000)}`}
      {job.attempt > 1 && ` · attempt ${job.attempt}`}
    </p>
  );
}

function ProgressPanel({ progress, isOver }: { progress: JobProgress; isOver: boolean }) {
  return (
    <section aria-label="Progress" className="card space-y-3 p-3.5">
      {!isOver && (
        <div>
          <div className="num mb-1.5 flex flex-wrap justify-between gap-x-4 text-sm">
            <span className="font-medium">{format.words(progress.phase)}</span>
            <span className="text-muted">
              {[progress.share !== null && `${Math.floor(progress.share * 100)} %`, doneText(progress), rateText(progress), progress.eta_s !== null && `${format.duration(progress.eta_s)} left`].filter(Boolean).join(" · ")}
            </span>
          </div>
          <Progress done={progress.done} total={progress.total} label={progress.phase} />
        </div>
      )}
      {(progress.phases.length > 0 || isOver) && (
        <table className="w-full text-xs">
          <thead className="sr-only"><tr><th scope="col">Phase</th><th scope="col">Done</th><th scope="col">Rate</th><th scope="col">Took</th></tr></thead>
          <tbody className="num">
            {[...progress.phases, ...(isOver && progress.phase ? [progress] : [])].map((phase, i) => (
              <tr key={`${phase.phase}${i}`}>
                <td className="py-0.5">{format.words(phase.phase)}</td>
                <td className="text-right text-muted">{doneText(phase)}</td>
                <td className="text-right text-muted">{rateText(phase)}</td>
                <td className="w-24 text-right text-muted">{phase.elapsed_s !== null && format.duration(phase.elapsed_s)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {progress.figures.length > 0 && (
        <dl className="flex flex-wrap gap-x-6 gap-y-1 text-xs">
          {progress.figures.map(([name, x]) => <div key={name}><dt className="eyebrow">{format.words(name)}</dt><dd className="num">{format.value(x)}</dd></div>)}
        </dl>
      )}
    </section>
  );
}

function RunLink({ job }: { job: Job }) {
  const runs = useInfiniteQuery(runsQuery);
  const run = (runs.data?.pages ?? []).flatMap((page) => page.items).find((item) => item.id === job.run);
  if (!run || run.snapshot === null) return null;
  return (
    <p>
      <Link to="/s/$sae/features" params={{ sae: run.sae }} search={{ run: String(run.id) }} className="btn btn-main">
        {run.state === "finished" ? `Features of ${run.sae_name}` : "Partial results are browsable"} <ArrowRight size={14} aria-hidden />
      </Link>
    </p>
  );
}

/** What an event says beside its name; results and errors are told in full above. */
function payloadText(payload: JobEvent["payload"]): string {
  return Object.entries(payload ?? {})
    .filter(([name, x]) => (typeof x === "string" || typeof x === "number") && name !== "error_message")
    .map(([name, x]) => `${format.words(name)} ${x}`)
    .join(" · ");
}

function Events({ events }: { events: JobEvent[] }) {
  if (events.length === 0) return null;
  return (
    <section aria-label="Events">
      <h2 className="mb-1.5 text-sm">Events</h2>
      <ol className="card divide-y divide-line text-sm">
        {events.map((event) => (
          <li key={event.seq} className="flex flex-wrap gap-x-3 px-3.5 py-1.5">
            <time className="num text-xs leading-5 text-muted" dateTime={event.at}>{new Date(event.at).toLocaleString()}</time>
            <span className="font-medium">{format.words(event.kind)}</span>
            <span className="min-w-0 truncate text-xs leading-5 text-muted" title={event.payload ? JSON.stringify(event.payload) : undefined}>{payloadText(event.payload)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
