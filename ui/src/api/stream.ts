/** Jobs as they change: by server-sent events where they come through, else by asking again. */
import { useQueryClient, type InfiniteData, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { isOver } from "../lib/progress";
import { apiUrl, type Schemas } from "./client";
import type { Job, JobEvent } from "./types";

type Told = { job?: (job: Job) => void; event?: (event: JobEvent) => void };
const AGAIN_MS = 15_000;

/** Listens to a stream while the page is seen; true while it is open. */
export function useStream(path: string | null, told: Told): boolean {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    if (path === null) return undefined;
    let source: EventSource | null = null;
    let timer = 0;
    const close = () => {
      window.clearTimeout(timer);
      source?.close();
      source = null;
      setOpen(false);
    };
    const open = () => {
      close();
      if (document.hidden) return;
      source = new EventSource(apiUrl(path));
      source.addEventListener("open", () => setOpen(true));
      source.addEventListener("job", (event: MessageEvent<string>) => told.job?.(JSON.parse(event.data) as Job));
      source.addEventListener("event", (event: MessageEvent<string>) => told.event?.(JSON.parse(event.data) as JobEvent));
      source.addEventListener("error", () => {
        setOpen(false);
        // The browser tries again by itself unless the answer was a refusal.
        if (source?.readyState === EventSource.CLOSED) timer = window.setTimeout(open, AGAIN_MS);
      });
    };
    open();
    document.addEventListener("visibilitychange", open);
    return () => {
      document.removeEventListener("visibilitychange", open);
      close();
    };
    // `told` only writes into the query cache, whose identity never changes.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [path]);
  return isOpen;
}

/** Puts a job's newest state wherever it is shown. */
export function keepJob(client: QueryClient, job: Job) {
  let before = client.getQueryData<Job>(["job", job.id]);
  client.setQueryData(["job", job.id], job);
  let isListed = false;
  for (const [key, pages] of client.getQueriesData<InfiniteData<Schemas["Jobs"]>>({ queryKey: ["jobs"] })) {
    if (!pages) continue;
    client.setQueryData<InfiniteData<Schemas["Jobs"]>>(key, {
      ...pages,
      pages: pages.pages.map((page) => ({
        ...page,
        items: page.items.map((item) => {
          if (item.id !== job.id) return item;
          isListed = true;
          before ??= item;
          return job;
        }),
      })),
    });
  }
  if (!isListed) void client.invalidateQueries({ queryKey: ["jobs"] });
  // A stream begins with the jobs that there are; what ended before this page was opened has changed nothing on it.
  const isOld = before ? before.state === job.state && before.run === job.run : Date.parse(job.finished_at ?? "") < performance.timeOrigin;
  if (isOld) return;
  void client.invalidateQueries({ queryKey: ["runs"] });
  // What a job wrote shows up in lists that were read before.
  if (isOver(job.state)) for (const name of ["matches", "facets", "row", "feature", "queue", "saes", "plan", "labelings", "templates"]) void client.invalidateQueries({ queryKey: [name] });
}

/** All jobs' changes into the cache; says whether lists still have to be asked for. */
export function useJobsStream(): boolean {
  const client = useQueryClient();
  return useStream("jobs/stream", { job: (job) => keepJob(client, job) });
}
