import { useQuery } from "@tanstack/react-query";
import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";

import { workersQuery } from "../../api/queries";
import type { Job } from "../../api/types";
import { misfits, unserved, workersText } from "../../lib/workers";
import { Command } from "../../parts/Copy";

/** Who works on the jobs, and what is wrong with that; nothing where this server does it all by itself. */
export function WorkersNote({ jobs }: { jobs: readonly Job[] }) {
  const workers = useQuery(workersQuery).data;
  if (!workers) return null;
  const text = workersText(workers);
  return (
    <div className="mb-4 space-y-2 empty:hidden">
      {text && <p className="num text-sm text-muted">{text}{workers.has_runner && "; this server works too"}</p>}
      {unserved(jobs, workers).map(([queue, count]) => (
        <Warning key={queue}>
          <p>{count === 1 ? "1 queued job waits" : `${count} queued jobs wait`} for the queue <b>{queue}</b>, and no worker takes jobs from it. Start one:</p>
          <div className="mt-1.5"><Command text={`featlas worker --queues ${queue}`} /></div>
        </Warning>
      ))}
      {misfits(workers).map((worker) => (
        <Warning key={`${worker.host}#${worker.pid}`}>
          Worker {worker.host} ({worker.pid}) runs {worker.version}, this server {workers.version}: upgrade it, so that what it makes is of one version.
        </Warning>
      ))}
    </div>
  );
}

function Warning({ children }: { children: ReactNode }) {
  return (
    <div role="status" className="flex items-start gap-2.5 rounded-lg bg-bad-wash px-3 py-2.5 text-sm">
      <CircleAlert size={16} className="mt-0.5 shrink-0 text-bad" aria-hidden />
      <div className="min-w-0 flex-1 [overflow-wrap:anywhere]">{children}</div>
    </div>
  );
}
