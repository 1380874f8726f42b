import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Pause, Play, Square } from "lucide-react";

import { post } from "../../api/client";
import { keepJob } from "../../api/stream";
import type { Job } from "../../api/types";
import { causeOf } from "../../parts/states";

const VERBS = {
  pause: { icon: Pause, text: "Pause", states: ["running"] },
  resume: { icon: Play, text: "Resume", states: ["paused", "failed", "cancelled"] },
  cancel: { icon: Square, text: "Cancel", states: ["queued", "running", "paused"] },
} as const;
type Verb = keyof typeof VERBS;

/** What can be done with a job in its state. */
export function JobActions({ job }: { job: Job }) {
  const client = useQueryClient();
  const act = useMutation({
    mutationFn: (verb: Verb) => post<Job>(`jobs/${job.id}/${verb}`, {}),
    onSuccess: (next) => {
      keepJob(client, next);
      void client.invalidateQueries({ queryKey: ["job", job.id] });
    },
  });
  const asked = job.state === "running" && (job.cancel_requested ? "cancelling…" : job.pause_requested ? "pausing…" : "");
  return (
    <div className="flex flex-wrap items-center justify-end gap-1.5">
      {asked && <span className="text-xs text-muted">{asked}</span>}
      {(Object.keys(VERBS) as Verb[])
        .filter((verb) => (VERBS[verb].states as readonly string[]).includes(job.state) && !(asked && verb === "pause"))
        .map((verb) => {
          const { icon: Icon, text } = VERBS[verb];
          return (
            <button key={verb} type="button" className="btn min-h-6 px-2 text-xs" disabled={act.isPending || (verb === "cancel" && job.cancel_requested)} aria-label={`${text} job ${job.id}`} onClick={() => act.mutate(verb)}>
              <Icon size={12} aria-hidden /> {text}
            </button>
          );
        })}
      {act.isError && <span role="alert" className="basis-full text-right text-xs text-bad">{causeOf(act.error)}</span>}
    </div>
  );
}
