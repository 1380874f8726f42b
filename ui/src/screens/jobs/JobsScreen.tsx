import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";

import { jobsQuery } from "../../api/queries";
import type { Job } from "../../api/types";
import * as format from "../../lib/format";
import { doneText, rateText, readProgress } from "../../lib/progress";
import { useTitle } from "../../lib/title";
import { Command } from "../../parts/Copy";
import { Progress, StateBadge } from "../../parts/small";
import { Bones, Empty, ErrorNote } from "../../parts/states";
import { JobActions } from "./JobActions";
import { jobName } from "./jobName";
import { WorkersNote } from "./WorkersNote";

const route = getRouteApi("/jobs");
const STATES = ["running", "queued", "paused", "succeeded", "failed", "cancelled"];

export function JobsScreen() {
  useTitle("Jobs");
  const { state } = route.useSearch();
  const query = useInfiniteQuery(jobsQuery(state));
  const jobs = (query.data?.pages ?? []).flatMap((page) => page.items);
  return (
    <div className="mx-auto max-w-6xl px-4 py-5 sm:px-6">
      <header className="mb-4 flex flex-wrap items-center gap-3">
        <h1 className="mr-auto text-lg">Jobs</h1>
        <nav aria-label="States" className="flex flex-wrap gap-1">
          <Link to="/jobs" className="btn min-h-6 px-2 text-xs" activeOptions={{ exact: true, includeSearch: true }} activeProps={{ "aria-current": "page", className: "bg-raised" }}>all</Link>
          {STATES.map((name) => (
            <Link key={name} to="/jobs" search={{ state: name }} className="btn min-h-6 px-2 text-xs" activeOptions={{ includeSearch: true }} activeProps={{ "aria-current": "page", className: "bg-raised" }}>{name}</Link>
          ))}
        </nav>
      </header>
      <WorkersNote jobs={jobs} />
      {query.isError && <ErrorNote error={query.error} what="The jobs could not be read." retry={() => void query.refetch()} />}
      {query.isPending && <Bones rows={5} className="h-12" />}
      {query.isSuccess && jobs.length === 0 && (
        <Empty title={state ? `No ${state} jobs` : "No jobs yet"}>
          {!state && <><p className="mb-3">Extractions and labelings appear here while they run, started here or on the command line.</p><Command text="featlas extract --model MODEL --sae FOLDER --text TEXTS" /></>}
        </Empty>
      )}
      {jobs.length > 0 && (
        <div className="card relative overflow-x-auto">
          <table className="w-full min-w-[760px] text-sm">
            <thead>
              <tr className="border-b border-line text-left">
                {["Job", "State", "Progress", "Rate", "Left", "Attempt", ""].map((head) => <th key={head} scope="col" className="eyebrow px-3 py-2 font-semibold">{head || <span className="sr-only">Actions</span>}</th>)}
              </tr>
            </thead>
            <tbody>{jobs.map((job) => <JobRow key={job.id} job={job} />)}</tbody>
          </table>
        </div>
      )}
      {query.hasNextPage && <div className="mt-4 text-center"><button type="button" className="btn" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>Older jobs</button></div>}
    </div>
  );
}

function JobRow({ job }: { job: Job }) {
  const progress = readProgress(job.progress);
  const isGoing = job.state === "running" || job.state === "paused";
  return (
    <tr className="border-b border-line last:border-0 hover:bg-raised/50">
      <td className="max-w-64 px-3 py-2">
        <Link to="/jobs/$job" params={{ job: String(job.id) }} className="font-medium hover:underline">{jobName(job)}</Link>
        <div className="num truncate text-xs text-muted">#{job.id} · <time dateTime={job.created_at} title={job.created_at}>{format.ago(job.created_at)}</time></div>
      </td>
      <td className="px-3 py-2"><StateBadge state={job.state} /></td>
      <td className="w-64 px-3 py-2">
        {progress && isGoing ? (
          <>
            <div className="num mb-1 flex justify-between gap-2 text-xs"><span>{format.words(progress.phase)}</span><span className="truncate text-muted">{progress.share !== null ? `${Math.floor(progress.share * 100)} %` : doneText(progress)}</span></div>
            <Progress done={progress.done} total={progress.total} label={`${jobName(job)}: ${progress.phase}`} />
          </>
        ) : job.error_message ? (
          <span className="line-clamp-2 text-xs text-bad" title={job.error_message}>{job.error_message}</span>
        ) : job.state === "succeeded" && job.started_at && job.finished_at ? (
          <span className="num text-xs text-muted">took {format.duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)}</span>
        ) : null}
      </td>
      <td className="num px-3 py-2 text-xs whitespace-nowrap text-muted">{progress && job.state === "running" ? rateText(progress) : ""}</td>
      <td className="num px-3 py-2 text-xs whitespace-nowrap text-muted">{progress && job.state === "running" && progress.eta_s !== null ? format.duration(progress.eta_s) : ""}</td>
      <td className="num px-3 py-2 text-xs text-muted">{job.attempt}</td>
      <td className="px-3 py-2"><JobActions job={job} /></td>
    </tr>
  );
}
