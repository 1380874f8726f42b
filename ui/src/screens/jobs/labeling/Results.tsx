import { useInfiniteQuery, useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ArrowUp, MessageSquareText } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from "react";

import type { Schemas } from "../../../api/client";
import { jobLabelsQuery, type LabelFilter } from "../../../api/labelingQueries";
import type { Job, Label, Labeling, Run } from "../../../api/types";
import { causeWords } from "../../../lib/causes";
import * as format from "../../../lib/format";
import { lintText } from "../../../lib/lint";
import { useWidth } from "../../../lib/useWidth";
import { EndlessRows } from "../../../parts/EndlessRows";
import { Segmented, SourceGlyph } from "../../../parts/small";
import { Bones, ErrorNote } from "../../../parts/states";

const AnswerDialog = lazy(() => import("../../../parts/AnswerDialog"));
const POLL_MS = 2000;
const WIDE = "72px minmax(180px,1.2fr) minmax(200px,2fr) 92px 34px";
const WIDE_FREE = "72px minmax(180px,1.2fr) minmax(200px,2fr)";

type Props = { job: Job; run: Run | undefined; counts: Labeling["counts"]; isGoing: boolean; filter: LabelFilter; onFilter: (filter: LabelFilter) => void };

/** Which filter is meant by a button. */
const FILTERS: Record<string, LabelFilter> = { all: {}, labeled: { status: "labeled" }, abstained: { status: "abstained" }, failed: { status: "failed" }, linted: { linted: "true" } };

function countOf(counts: Labeling["counts"], filter: LabelFilter): number {
  if (filter.cause) return counts.n_by_cause[filter.cause] ?? 0;
  if (filter.linted) return counts.n_linted;
  const by: Record<string, number> = { labeled: counts.n_labeled, abstained: counts.n_abstained, failed: counts.n_failed };
  return filter.status ? (by[filter.status] ?? 0) : counts.n_labeled + counts.n_abstained + counts.n_failed;
}

/** Every answer of a job, newest first. New ones come in by themselves while one is at the top, and wait for a click otherwise. */
export function Results({ job, run, counts, isGoing, filter, onFilter }: Props) {
  const client = useQueryClient();
  const box = useRef<HTMLElement>(null);
  const [width, measure] = useWidth(box);
  const [isAtTop, setAtTop] = useState(true);
  const [asked, setAsked] = useState<Label | null>(null);
  const options = jobLabelsQuery(job.id, filter);
  const query = useInfiniteQuery({ ...options, refetchInterval: (q) => (isGoing && isAtTop && (q.state.data?.pages.length ?? 0) <= 1 ? POLL_MS : false) });
  const labels = (query.data?.pages ?? []).flatMap((page) => page.items);
  const total = countOf(counts, filter);
  const wasGoing = useRef(isGoing);
  const [generation, setGeneration] = useState(0);
  const toNewest = useCallback(() => {
    const { queryKey } = jobLabelsQuery(job.id, filter);
    client.setQueryData<InfiniteData<Schemas["JobLabels"], string>>(queryKey, (known) => known && { pages: known.pages.slice(0, 1), pageParams: known.pageParams.slice(0, 1) });
    void client.invalidateQueries({ queryKey });
    setGeneration((before) => before + 1);
  }, [client, job.id, filter]);
  useEffect(() => {
    // The last ones may have come after the last look.
    if (wasGoing.current && !isGoing && isAtTop) toNewest();
    wasGoing.current = isGoing;
  }, [isGoing, isAtTop, toNewest]);
  const { fetchNextPage } = query;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  const hasNew = useHasNew(total, query.data?.pages[0]?.items[0]?.id) && (!isAtTop || (query.data?.pages.length ?? 0) > 1);
  const isNarrow = width > 0 && width < 720;
  // Who asks nobody has no costs and no answers to show.
  const isFree = job.spec["provider"] === "lexical";
  const columns = isFree ? WIDE_FREE : WIDE;
  const chosen = filter.cause ? "failed" : (Object.keys(FILTERS).find((name) => FILTERS[name]!.status === filter.status && FILTERS[name]!.linted === filter.linted) ?? "all");
  const option = (value: string) => ({ value, text: <>{value} <span className="num font-normal">{format.brief(countOf(counts, FILTERS[value]!))}</span></> });
  return (
    <section aria-label="Results" ref={box}>
      <div ref={measure} className="mb-1.5 flex flex-wrap items-center gap-x-3 gap-y-1.5">
        <h2 className="text-sm">Results</h2>
        <div className="max-w-full overflow-x-auto"><Segmented label="Which results" value={chosen} onChange={(name) => onFilter(FILTERS[name]!)} options={Object.keys(FILTERS).map(option)} /></div>
        {filter.cause && <span className="text-xs text-muted">{causeWords(filter.cause).what.toLowerCase()} <button type="button" className="underline" onClick={() => onFilter({ status: "failed" })}>all failures</button></span>}
        {hasNew && <button type="button" className="btn min-h-6 px-2 text-xs" onClick={toNewest}><ArrowUp size={12} aria-hidden /> New results</button>}
      </div>
      {query.isError && <div className="mb-2"><ErrorNote error={query.error} what="The results could not be read." retry={() => void query.refetch()} /></div>}
      {query.isPending && <Bones rows={6} className="h-9" />}
      {query.isSuccess && labels.length === 0 && <p className="card px-3.5 py-6 text-center text-sm text-muted">{total > 0 ? "They are on their way." : isGoing ? "Nothing yet; answers appear here as they come." : chosen === "all" ? "This job has given no labels." : `None of them is ${chosen}.`}</p>}
      {labels.length > 0 && (
        <div className="card overflow-hidden">
          <EndlessRows
            key={`${generation} ${options.queryKey.join(" ")}`} label="Results" items={labels} keyOf={(label) => label.id} rowHeight={isNarrow ? 92 : 58} hasMore={query.hasNextPage} isLoading={query.isFetchingNextPage || query.isError} onMore={more} onTop={setAtTop}
            head={isNarrow ? undefined : (
              <div role="row" className="grid h-full items-center gap-x-3 px-3.5" style={{ gridTemplateColumns: columns }}>
                {["Feature", "Label", "Explanation", "Cost", ""].slice(0, isFree ? 3 : 5).map((head, i) => <div key={head} role="columnheader" className={`eyebrow ${i === 3 ? "text-right" : ""}`}>{head || <span className="sr-only">Answer</span>}</div>)}
              </div>
            )}
          >
            {(label) => <Row label={label} run={run} columns={isNarrow ? null : columns} onAnswer={() => setAsked(label)} />}
          </EndlessRows>
        </div>
      )}
      {asked && <Suspense><AnswerDialog label={asked.id} feature={asked.feature_index} onClose={() => setAsked(null)} /></Suspense>}
    </section>
  );
}

/** Whether the counts have grown since the list had its newest row. */
function useHasNew(total: number, newest: number | undefined): boolean {
  const [then, setThen] = useState({ total, newest });
  if (then.newest !== newest) setThen({ total, newest });
  return total > then.total;
}

/** `columns`: of a wide row; null is a narrow one. */
function Row({ label, run, columns, onAnswer }: { label: Label; run: Run | undefined; columns: string | null; onAnswer: () => void }) {
  const link = run ? (
    <Link to="/s/$sae/f/$index" params={{ sae: run.sae, index: String(label.feature_index) }} search={{ run: String(run.id) }} preload={false} className="num font-mono text-[12.5px] text-muted hover:text-fg hover:underline">#{label.feature_index}</Link>
  ) : <span className="num font-mono text-[12.5px] text-muted">#{label.feature_index}</span>;
  const answer = label.has_answer && <button type="button" className="btn btn-quiet px-1" aria-label={`Question and answer for feature ${label.feature_index}`} title="Question and answer" onClick={onAnswer}><MessageSquareText size={15} aria-hidden /></button>;
  const cost = label.usd !== null ? format.usd(label.usd) : label.n_tokens_in !== null ? `${format.brief(label.n_tokens_in + (label.n_tokens_out ?? 0))} tokens` : "";
  if (columns === null) {
    return (
      <div role="cell" className="flex h-full flex-col justify-center gap-0.5 px-3.5">
        <div className="flex items-center gap-2">{link}<span className="num ml-auto text-xs text-muted">{cost}</span>{answer}</div>
        <Text label={label} />
        <p className="truncate text-xs text-muted">{label.explanation}</p>
      </div>
    );
  }
  return (
    <div className="grid h-full items-center gap-x-3 px-3.5" style={{ gridTemplateColumns: columns }}>
      <div role="cell">{link}</div>
      <div role="cell" className="min-w-0"><Text label={label} /></div>
      <div role="cell" className="line-clamp-2 min-w-0 text-xs text-muted" title={label.explanation ?? undefined}>{label.explanation}</div>
      {columns === WIDE && <div role="cell" className="num text-right text-xs text-muted">{cost}</div>}
      {columns === WIDE && <div role="cell">{answer}</div>}
    </div>
  );
}

function Text({ label }: { label: Label }) {
  if (label.status === "failed") return <p className="truncate text-sm text-bad">failed: {causeWords(label.failure_cause ?? "").what.toLowerCase()}</p>;
  if (label.status === "abstained") return <p className="truncate text-sm text-muted">abstained: no clear pattern</p>;
  return (
    <>
      <p className="flex min-w-0 items-center gap-1.5 text-sm"><SourceGlyph source={label.source} /><span className="truncate font-medium" title={label.semantic_label ?? undefined}>{label.semantic_label}</span></p>
      <p className={`truncate text-xs ${label.lint.length ? "text-bad" : "text-muted"}`}>{label.lint.length ? label.lint.map(lintText).join("; ") : label.category_label}</p>
    </>
  );
}
