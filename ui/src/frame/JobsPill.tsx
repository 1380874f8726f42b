import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";

import { jobsQuery } from "../api/queries";
import { useJobsStream } from "../api/stream";
import { readProgress } from "../lib/progress";

/** How many jobs run and how far the newest of them is; the tab's title says it too. */
export function JobsPill() {
  const isStreaming = useJobsStream();
  const jobs = useInfiniteQuery({ ...jobsQuery(), refetchInterval: isStreaming ? false : 5000, refetchIntervalInBackground: true });
  const active = (jobs.data?.pages ?? []).flatMap((page) => page.items).filter((job) => job.state === "running" || job.state === "queued");
  const running = active.find((job) => job.state === "running");
  const share = running ? (readProgress(running.progress)?.share ?? null) : null;
  const percent = share === null ? null : Math.floor(share * 100);

  useEffect(() => {
    const bare = document.title.replace(/^\d+ % · /, "");
    document.title = percent === null ? bare : `${percent} % · ${bare}`;
  });

  if (active.length === 0) return null;
  return (
    <Link to="/jobs" className="btn num" aria-label={`${active.length} jobs running or queued${percent === null ? "" : `, ${percent} %`}`}>
      <Ring share={share} />
      {active.length}
      {percent !== null && <span className="text-muted">{percent} %</span>}
    </Link>
  );
}

function Ring({ share }: { share: number | null }) {
  const length = 2 * Math.PI * 6;
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden className={share === null ? "animate-spin" : ""}>
      <circle cx="8" cy="8" r="6" fill="none" stroke="var(--line)" strokeWidth="2.5" />
      <circle
        cx="8" cy="8" r="6" fill="none" stroke="var(--run)" strokeWidth="2.5" strokeLinecap="round"
        strokeDasharray={`${(share ?? 0.25) * length} ${length}`} transform="rotate(-90 8 8)"
      />
    </svg>
  );
}
