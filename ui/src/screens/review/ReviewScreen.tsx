import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useRouter } from "@tanstack/react-router";
import { UserRound } from "lucide-react";
import { useCallback, useState } from "react";

import { ApiError } from "../../api/client";
import { queueQuery, type Queue } from "../../api/reviewQueries";
import { useReviewer } from "../../lib/kept";
import { index, ORDERS, type ReviewSearch } from "../../lib/search";
import { useTitle } from "../../lib/title";
import { useLate } from "../../lib/useLate";
import { Dialog } from "../../parts/Dialog";
import { Segmented } from "../../parts/small";
import { Bones, ErrorNote } from "../../parts/states";
import { QueryBar } from "../features/QueryBar";
import { Desk } from "./Desk";
import { ReviewerForm } from "./ReviewerForm";

const route = getRouteApi("/s/$sae/review");

const ORDER_WORDS = {
  doubt: { text: "Doubtful first", title: "What lint speaks against first, then the lowest scores, then the most frequent" },
  query: { text: "As the query", title: "The query's own order: its sort: term, or the most frequent first" },
} as const;

/** Where one is changes with every key, and only the desk has to know. */
const withoutPlace = ({ at: _, ...search }: ReviewSearch): ReviewSearch => search;

export function ReviewScreen() {
  const { sae } = route.useParams();
  const search = route.useSearch({ select: withoutPlace, structuralSharing: true });
  const router = useRouter();
  const navigate = route.useNavigate();
  const reviewer = useReviewer();
  const [isNaming, setNaming] = useState(false);
  const { run, q = "", order = "doubt" } = search;
  const query = useQuery(queueQuery({ sae, run, q, order, reviewer }));
  const queue = useLastQueue(query.data, sae);
  const isStale = query.isPlaceholderData || (query.isError && !query.data && queue !== undefined);
  const isPale = useLate(isStale);
  const change = useCallback(
    (next: Partial<ReviewSearch>, replace = false) => void navigate({ search: (before) => ({ ...before, ...next }), replace }),
    [navigate],
  );
  const { refetch } = query;
  const refresh = useCallback(() => void refetch(), [refetch]);
  const isBadQuery = query.error instanceof ApiError && query.error.problem?.position;
  return (
    <div>
      <h1 className="sr-only">Review</h1>
      <div className="border-b border-line bg-surface px-3 py-2.5 sm:px-4">
        <div className="flex flex-wrap items-start gap-2">
          <div className="min-w-0 flex-1 basis-64">
            <QueryBar
              q={q} parts={query.isError ? [] : (queue?.query.parts ?? [])} error={query.error} isBusy={query.isPlaceholderData} group="Review" placeholder="What to review: all that waits, or for example  is:linted  ·  is:machine density:1e-4.."
              onChange={(text) => change({ q: text || undefined, at: undefined })}
            />
          </div>
          <div className="flex h-9 items-center gap-2">
            <Segmented label="Order" value={order} onChange={(next) => change({ order: next === "query" ? next : undefined, at: undefined })} options={ORDERS.map((value) => ({ value, ...ORDER_WORDS[value] }))} />
            {reviewer && (
              <button type="button" className="btn btn-quiet max-w-40" onClick={() => setNaming(true)} title="Who reviews: change the name">
                <UserRound size={14} className="shrink-0" aria-hidden /> <span className="truncate"><span className="sr-only">Reviewing as </span>{reviewer}</span>
              </button>
            )}
          </div>
        </div>
      </div>
      {(!reviewer || !queue) && <PlainTitle />}
      {!reviewer && <div className="mx-auto max-w-sm px-4 py-12"><h2 className="mb-2 text-base">Who reviews?</h2><ReviewerForm name="" /></div>}
      {query.isError && !isBadQuery && <div className="p-3"><ErrorNote error={query.error} what="The queue could not be read." retry={refresh} /></div>}
      {reviewer && !queue && query.isPending && <div className="grid gap-6 p-4 lg:grid-cols-[minmax(0,1fr)_420px]"><Bones rows={9} className="h-12" /><Bones rows={6} className="h-16" /></div>}
      {reviewer && queue && (
        <div aria-busy={query.isFetching} className={isPale ? "stale" : ""} inert={isStale}>
          <Desk key={queue.of} queue={queue} sae={sae} search={search} at={index(router.state.location.search.at)} isHeld={isStale} reviewer={reviewer} onSearch={change} onRefresh={refresh} />
        </div>
      )}
      {isNaming && <Dialog title="Who reviews" label="Who reviews" width="420px" onClose={() => setNaming(false)}><ReviewerForm name={reviewer} onDone={() => setNaming(false)} /></Dialog>}
    </div>
  );
}

/** The tab's title while there is no feature to name. */
function PlainTitle() {
  useTitle("Review");
  return null;
}

/** What was last answered stays on screen while another query loads, or cannot be read. */
function useLastQueue(answer: Queue | undefined, sae: string): Queue | undefined {
  const [last, setLast] = useState<{ sae: string; queue: Queue } | null>(null);
  if (answer && last?.queue !== answer) setLast({ sae, queue: answer });
  return answer ?? (last?.sae === sae ? last.queue : undefined);
}
