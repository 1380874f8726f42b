/** Who works on which queues, in words; and what waits for somebody who is not there. */
import type { Job, Worker, Workers } from "../api/types";

/** "3 workers: 2 on extraction, labeling; 1 on light"; empty without any that lives. */
export function workersText({ items }: Workers): string {
  const alive = items.filter((worker) => worker.is_alive);
  if (alive.length === 0) return "";
  const counts = new Map<string, number>();
  for (const worker of alive) {
    const queues = worker.queues.join(", ");
    counts.set(queues, (counts.get(queues) ?? 0) + 1);
  }
  const n = `${alive.length} worker${alive.length === 1 ? "" : "s"}`;
  if (counts.size === 1) return `${n} on ${[...counts.keys()][0]}`;
  return `${n}: ${[...counts].map(([queues, count]) => `${count} on ${queues}`).join("; ")}`;
}

/** How many queued jobs wait in each queue that nobody takes jobs from. */
export function unserved(jobs: readonly Job[], { items, has_runner }: Workers): [queue: string, count: number][] {
  if (has_runner) return [];
  const served = new Set(items.filter((worker) => worker.is_alive).flatMap((worker) => worker.queues));
  const counts = new Map<string, number>();
  for (const job of jobs) {
    if (job.state === "queued" && !served.has(job.queue)) counts.set(job.queue, (counts.get(job.queue) ?? 0) + 1);
  }
  return [...counts];
}

/** Living workers that are not of the server's version. */
export function misfits({ items, version }: Workers): Worker[] {
  return items.filter((worker) => worker.is_alive && worker.version !== version);
}
