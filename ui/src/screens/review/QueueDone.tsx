import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { facetsQuery } from "../../api/queries";
import type { Queue } from "../../api/reviewQueries";
import { plural, whole } from "../../lib/format";
import { Empty } from "../../parts/states";
import { EmptyResult } from "../features/EmptyResult";

type Props = { sae: string; run: string | undefined; queue: Queue; nReviewed: number; onQuery: (q: string) => void };

/** Nothing waits: because all is done, because there is nothing to judge yet, or because nothing matches. */
export function QueueDone({ sae, run, queue, nReviewed, onQuery }: Props) {
  const facets = useQuery(facetsQuery({ sae, run }));
  const all = facets.data;
  const asked = queue.query.text;
  if (queue.n_matches === 0) return <EmptyResult list={{ sae, run, q: asked }} parts={queue.query.parts} onChange={onQuery} />;
  if (all && all.n_labeled === 0 && queue.n_skipped === 0 && nReviewed === 0 && !asked) {
    return (
      <Empty title="There are no labels to review yet">
        <p>Let a language model or the offline labeler say first what the features stand for.</p>
        <p className="mt-4"><Link className="btn btn-main" to="/s/$sae/label" params={{ sae }} search={{ run }}>Label features</Link></p>
      </Empty>
    );
  }
  const nUnlabeled = all ? all.n_matches - all.n_labeled : 0;
  return (
    <Empty title="Queue done">
      <p>
        {asked ? <>Nothing that <code className="text-xs">{asked}</code> matches waits for a review.</> : "Every label has been judged."}
        {queue.n_skipped > 0 && ` ${plural(queue.n_skipped, "skipped feature comes", "skipped features come")} back after twelve hours; u takes a skip back.`}
      </p>
      <p className="mt-4 flex flex-wrap justify-center gap-2">
        {asked && <button type="button" className="btn btn-main" onClick={() => onQuery("")}>Review all that waits</button>}
        {nUnlabeled > 0 && asked !== "is:unlabeled" && <button type="button" className="btn" onClick={() => onQuery("is:unlabeled")}>Write labels for the {whole(nUnlabeled)} without one</button>}
        <Link className="btn" to="/s/$sae/label" params={{ sae }} search={{ run }}>Label more</Link>
        <Link className="btn" to="/s/$sae/features" params={{ sae }} search={{ run, q: "is:accepted" }}>Look at what was accepted</Link>
      </p>
    </Empty>
  );
}
