import type { Job } from "../../api/types";

const lastStep = (path: string): string => path.replace(/\/+$/, "").split("/").at(-1) ?? path;

/** What a job does, in a few words: its kind and what it works on. */
export function jobName(job: Job): string {
  const { name, sae, run, provider } = job.spec;
  const kind = `${job.kind.charAt(0).toUpperCase()}${job.kind.slice(1)}`;
  if (typeof name === "string" && name) return `${kind} ${name}`;
  if (typeof sae === "string" && sae) return `${kind} of ${lastStep(sae)}`;
  if (typeof run === "string" || typeof run === "number") return `${kind} of run ${run}${typeof provider === "string" ? `, ${provider}` : ""}`;
  return kind;
}
