import { useInfiniteQuery } from "@tanstack/react-query";

import { labelingsQuery } from "../../../api/labelingQueries";
import type { Job } from "../../../api/types";
import * as format from "../../../lib/format";
import { Dialog } from "../../../parts/Dialog";
import { StateBadge } from "../../../parts/small";
import { Bones, ErrorNote } from "../../../parts/states";

type Props = { sae: string; besides: number; title: string; onPick: (job: number) => void; onClose: () => void };

/** The labeling jobs of an SAE, one of which is chosen. */
export function JobPicker({ sae, besides, title, onPick, onClose }: Props) {
  const query = useInfiniteQuery(labelingsQuery(sae));
  const jobs = (query.data?.pages ?? []).flatMap((page) => page.items).filter((job) => job.id !== besides);
  return (
    <Dialog title={title} label={title} width="560px" onClose={onClose}>
      {query.isPending && <Bones rows={4} className="h-10" />}
      {query.isError && <ErrorNote error={query.error} what="The labeling jobs could not be listed." retry={() => void query.refetch()} />}
      {query.isSuccess && jobs.length === 0 && !query.hasNextPage && <p className="text-sm text-muted">There is no other labeling of this SAE yet: label it again with another model or template, and compare then.</p>}
      <ul className="space-y-1">
        {jobs.map((job) => (
          <li key={job.id}>
            <button type="button" className="flex w-full items-center gap-3 rounded-md px-2.5 py-2 text-left text-sm hover:bg-raised" onClick={() => onPick(job.id)}>
              <span className="num shrink-0 font-mono text-xs text-muted">#{job.id}</span>
              <span className="min-w-0 flex-1">
                <span className="block truncate font-medium">{labelerOf(job)}</span>
                <span className="num block truncate text-xs text-muted">{madeOf(job)}</span>
              </span>
              <StateBadge state={job.state} />
            </button>
          </li>
        ))}
      </ul>
      {query.hasNextPage && <div className="mt-3 text-center"><button type="button" className="btn" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>Older jobs</button></div>}
    </Dialog>
  );
}

/** Who labels in a job. */
export function labelerOf(job: Job): string {
  const { provider, model } = job.spec;
  return provider === "lexical" ? "no model: tokens and text" : [provider, model].filter(Boolean).join(", ");
}

/** How many labels came of it, by which template, and when. */
export function madeOf(job: Job): string {
  const { n_labeled: n, template, template_version: version } = (job.result ?? {}) as Record<string, unknown>;
  return [
    typeof n === "number" && format.plural(n, "label"),
    typeof template === "string" && `template ${template} version ${String(version)}`,
    typeof job.spec["retry_of"] === "number" && `retry of job ${job.spec["retry_of"]}`,
    format.ago(job.created_at),
  ].filter(Boolean).join(" · ");
}
