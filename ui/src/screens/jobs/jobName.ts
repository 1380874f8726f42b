import type { Job } from "../../api/types";

const lastStep = (path: string): string => path.replace(/\/+$/, "").split("/").at(-1) ?? path;

/** A uid's end, with which names of runs end too; other names stay whole. */
const shortUid = (run: string): string => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(run) ? `…${run.slice(-6)}` : run);

/** What a job does, in a few words: its kind and what it works on. */
export function jobName(job: Job): string {
  const { name, sae, run, provider, dry_run: dry } = job.spec;
  const kind = typeof dry === "number" && dry > 0 ? `Dry run of ${dry}` : `${job.kind.charAt(0).toUpperCase()}${job.kind.slice(1)}`;
  if (typeof name === "string" && name) return `${kind} ${name}`;
  if (typeof sae === "string" && sae) return `${kind} of ${lastStep(sae)}`;
  if (typeof run === "string") return `${kind}${kind.startsWith("Dry") ? " on" : " of"} run ${job.run ?? shortUid(run)}${typeof provider === "string" ? `, ${provider}` : ""}`;
  return kind;
}
