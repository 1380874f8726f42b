import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ArrowLeftRight, MessageSquareText } from "lucide-react";
import { lazy, Suspense, useCallback, useRef, useState } from "react";

import type { Schemas } from "../../api/client";
import { compareQuery, labelingQuery, type Which } from "../../api/labelingQueries";
import { runQuery } from "../../api/queries";
import type { Job, Label, Run } from "../../api/types";
import { causeWords } from "../../lib/causes";
import * as format from "../../lib/format";
import { useLate } from "../../lib/useLate";
import { useTitle } from "../../lib/title";
import { useWidth } from "../../lib/useWidth";
import { EndlessRows } from "../../parts/EndlessRows";
import { Segmented, StateBadge } from "../../parts/small";
import { Bones, Empty, ErrorNote } from "../../parts/states";
import { JobPicker, labelerOf, madeOf } from "../jobs/labeling/JobPicker";

const AnswerDialog = lazy(() => import("../../parts/AnswerDialog"));
const route = getRouteApi("/labelings/compare");
const WIDE = "72px minmax(0,1fr) minmax(0,1fr)";

type Compared = Schemas["ComparedFeature"];

/** Two labeling jobs of one SAE, feature by feature. */
export function CompareScreen() {
  useTitle("Compare labelings");
  const { a, b } = route.useSearch();
  if (a === undefined && b === undefined) {
    return (
      <Empty level={1} title="Compare two labelings">
        <p>Open a labeling job, and choose there which other one it is compared with.</p>
        <p className="mt-3"><Link to="/jobs" className="btn">Jobs</Link></p>
      </Empty>
    );
  }
  return <ComparePage a={a} b={b} />;
}

function ComparePage({ a, b }: { a: number | undefined; b: number | undefined }) {
  const navigate = route.useNavigate();
  const first = useQuery({ ...labelingQuery(a ?? 0), enabled: a !== undefined });
  const second = useQuery({ ...labelingQuery(b ?? 0), enabled: b !== undefined });
  const known = (first.data ?? second.data)?.job;
  const run = useQuery({ ...runQuery(String(known?.spec["run"] ?? "")), enabled: known !== undefined });
  const [picking, setPicking] = useState<"a" | "b" | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const [width] = useWidth(box);
  const side = (name: "a" | "b", id: number | undefined, query: typeof first) => (
    <JobCard side={name} id={id} job={query.data?.job} counts={query.data?.counts} error={query.error} onPick={() => setPicking(name)} canPick={run.data !== undefined} />
  );
  return (
    <div ref={box} className="mx-auto max-w-6xl space-y-4 px-4 py-5 sm:px-6">
      <header className="flex flex-wrap items-center gap-3">
        <h1 className="mr-auto text-lg">Compare labelings</h1>
        {a !== undefined && b !== undefined && <button type="button" className="btn" onClick={() => void navigate({ search: (before) => ({ ...before, a: b, b: a }), replace: true })}><ArrowLeftRight size={14} aria-hidden /> Swap</button>}
      </header>
      <div className="grid gap-3 sm:grid-cols-2">{side("a", a, first)}{side("b", b, second)}</div>
      {a !== undefined && b !== undefined && <Comparison a={a} b={b} run={run.data} isNarrow={width > 0 && width < 700} />}
      {(a === undefined || b === undefined) && <p className="py-8 text-center text-sm text-muted">Choose the other job: what the two said of each feature then stands here side by side.</p>}
      {picking && run.data && (
        <JobPicker
          sae={run.data.sae} besides={(picking === "a" ? b : a) ?? 0} title={picking === "a" ? "Compare this job" : "Compare with this job"} onClose={() => setPicking(null)}
          onPick={(id) => {
            setPicking(null);
            void navigate({ search: (before) => ({ ...before, [picking]: id }), replace: true });
          }}
        />
      )}
    </div>
  );
}

type CardProps = { side: "a" | "b"; id: number | undefined; job: Job | undefined; counts: Schemas["LabelingCounts"] | undefined; error: Error | null; canPick: boolean; onPick: () => void };

function JobCard({ side, id, job, counts, error, canPick, onPick }: CardProps) {
  return (
    <section aria-label={`Job ${side.toUpperCase()}`} className="card p-3.5">
      <header className="flex items-center gap-2">
        <span className="flex size-6 shrink-0 items-center justify-center rounded-full border border-edge text-xs font-semibold">{side.toUpperCase()}</span>
        <h2 className="min-w-0 flex-1 truncate text-sm">
          {id === undefined ? "Not chosen yet" : job ? <Link to="/jobs/$job" params={{ job: String(id) }} className="hover:underline">{labelerOf(job)}</Link> : `Job ${id}`}
        </h2>
        {job && job.state !== "succeeded" && <StateBadge state={job.state} />}
        <button type="button" className="btn" disabled={!canPick} onClick={onPick}>{id === undefined ? "Choose" : "Other…"}<span className="sr-only"> as job {side.toUpperCase()}</span></button>
      </header>
      {job && <p className="num mt-1.5 truncate text-xs text-muted" title={madeOf(job)}>job {job.id} · {madeOf(job)}</p>}
      {counts && <p className="num mt-0.5 text-xs text-muted">{format.whole(counts.n_labeled)} labeled, {format.whole(counts.n_abstained)} abstained, {format.whole(counts.n_failed)} failed{counts.usd !== null && counts.usd > 0 && `, ${format.usd(counts.usd)}`}</p>}
      {id !== undefined && !job && !error && <Bones rows={1} />}
      {error && <div className="mt-2"><ErrorNote error={error} what={`Job ${id} could not be read.`} /></div>}
    </section>
  );
}

function Comparison({ a, b, run, isNarrow }: { a: number; b: number; run: Run | undefined; isNarrow: boolean }) {
  const { which = "different" } = route.useSearch();
  const navigate = route.useNavigate();
  const [asked, setAsked] = useState<Label | null>(null);
  const query = useInfiniteQuery(compareQuery(a, b, which));
  const isPale = useLate(query.isPlaceholderData);
  const { fetchNextPage } = query;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  if (query.isError && !query.data) return <ErrorNote error={query.error} what="These two cannot be compared." retry={() => void query.refetch()} />;
  const counts = query.data?.pages[0];
  if (!counts) return <Bones rows={8} className="h-10" />;
  const all = counts.n_both + counts.n_only_a + counts.n_only_b;
  const n: Record<Which, number> = { different: all - counts.n_same, same: counts.n_same, all };
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section aria-label="Features" aria-busy={query.isFetching}>
      <p className="num mb-2 text-sm text-muted">
        Both answered {format.plural(counts.n_both, "feature")}, <strong className="font-semibold text-fg">{format.whole(counts.n_same)} with the same text</strong>
        {counts.n_both > 0 && ` (${format.percent(counts.n_same / counts.n_both)})`}; {format.whole(counts.n_only_a)} only A, {format.whole(counts.n_only_b)} only B. Upper and lower case are the same.
      </p>
      <div className="mb-2">
        <Segmented
          label="Which features" value={which} onChange={(next) => void navigate({ search: (before) => ({ ...before, which: next === "different" ? undefined : next }), replace: true })}
          options={(["different", "same", "all"] as const).map((value) => ({ value, text: <>{value} <span className="num font-normal">{format.whole(n[value])}</span></> }))}
        />
      </div>
      {query.isError && <div className="mb-2"><ErrorNote error={query.error} what="More could not be read." retry={() => void query.fetchNextPage()} /></div>}
      {items.length === 0 ? (
        <p className="card px-3.5 py-6 text-center text-sm text-muted">{all === 0 ? "Neither job has answered anything yet." : which === "same" ? "They agree on no feature." : "They say the same of every feature."}</p>
      ) : (
        <div className={`card overflow-hidden ${isPale ? "stale" : ""}`}>
          <EndlessRows<Compared>
            key={`${a} ${b} ${which}`} label="Features" items={items} keyOf={(pair) => pair.feature_index} rowHeight={isNarrow ? 116 : 58} hasMore={query.hasNextPage} isLoading={query.isFetchingNextPage || query.isError} onMore={more}
            head={isNarrow ? undefined : (
              <div role="row" className="grid h-full items-center gap-x-4 px-3.5" style={{ gridTemplateColumns: WIDE }}>
                {["Feature", "A", "B"].map((head) => <div key={head} role="columnheader" className="eyebrow">{head}</div>)}
              </div>
            )}
          >
            {(pair) => <Pair pair={pair} run={run} isNarrow={isNarrow} onAnswer={setAsked} />}
          </EndlessRows>
        </div>
      )}
      {asked && <Suspense><AnswerDialog label={asked.id} feature={asked.feature_index} onClose={() => setAsked(null)} /></Suspense>}
    </section>
  );
}

function Pair({ pair, run, isNarrow, onAnswer }: { pair: Compared; run: Run | undefined; isNarrow: boolean; onAnswer: (label: Label) => void }) {
  const { feature_index: index } = pair;
  const link = run ? <Link to="/s/$sae/f/$index" params={{ sae: run.sae, index: String(index) }} search={{ run: String(run.id) }} preload={false} className="num font-mono text-[12.5px] text-muted hover:text-fg hover:underline">#{index}</Link> : <span className="num font-mono text-[12.5px] text-muted">#{index}</span>;
  const isSame = pair.a !== null && pair.b !== null && (pair.a.semantic_label ?? "").toLowerCase() === (pair.b.semantic_label ?? "").toLowerCase();
  const side = (name: string, label: Label | null) => (
    <div role="cell" className="flex min-w-0 items-center gap-2">
      {isNarrow && <span className="w-3 shrink-0 text-xs font-semibold text-muted">{name}</span>}
      <div className="min-w-0 flex-1"><Said label={label} isQuiet={isSame} /></div>
      {label?.has_answer && <button type="button" className="btn btn-quiet px-1" aria-label={`Question and answer ${name} for feature ${index}`} title="Question and answer" onClick={() => onAnswer(label)}><MessageSquareText size={15} aria-hidden /></button>}
    </div>
  );
  return (
    <div className={`h-full px-3.5 ${isNarrow ? "flex flex-col justify-center gap-0.5" : "grid items-center gap-x-4"}`} style={isNarrow ? undefined : { gridTemplateColumns: WIDE }}>
      <div role="cell">{link}</div>
      {side("A", pair.a)}
      {side("B", pair.b)}
    </div>
  );
}

function Said({ label, isQuiet }: { label: Label | null; isQuiet: boolean }) {
  if (!label) return <p className="text-sm text-muted">not asked</p>;
  if (label.status === "failed") return <p className="truncate text-sm text-bad">failed: {causeWords(label.failure_cause ?? "").what.toLowerCase()}</p>;
  if (label.status === "abstained") return <p className="truncate text-sm text-muted" title={label.explanation ?? undefined}>abstained: no clear pattern</p>;
  return (
    <>
      <p className={`truncate text-sm ${isQuiet ? "" : "font-medium"}`} title={label.semantic_label ?? undefined}>{label.semantic_label}</p>
      {label.category_label && <p className="truncate text-xs text-muted">{label.category_label}</p>}
    </>
  );
}
