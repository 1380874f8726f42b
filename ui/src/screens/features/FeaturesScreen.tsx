import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ClipboardCheck, LayoutGrid, ListFilter, Rows3, Tags } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";

import { ApiError } from "../../api/client";
import { columnsQuery, matchesQuery, type Matches } from "../../api/queries";
import { filterIds, type Range } from "../../lib/binning";
import { plural, whole, words } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { announce } from "../../lib/live";
import type { FeaturesSearch } from "../../lib/search";
import { SORTS } from "../../lib/suggest";
import { replaceTerm } from "../../lib/terms";
import { useTitle } from "../../lib/title";
import { useLate } from "../../lib/useLate";
import { Dialog } from "../../parts/Dialog";
import { Menu } from "../../parts/Menu";
import { Segmented } from "../../parts/small";
import { Bones, ErrorNote } from "../../parts/states";
import { EmptyResult } from "./EmptyResult";
import { FacetPanel } from "./FacetPanel";
import { FeatureCards } from "./FeatureCards";
import { FeatureTable } from "./FeatureTable";
import { HistogramStrip } from "./HistogramStrip";
import { QueryBar } from "./QueryBar";

const Peek = lazy(() => import("../feature/Peek"));
const route = getRouteApi("/s/$sae/features");

/** What was last answered stays on screen while a new query loads, or cannot be read. */
function useLastMatches(sae: string, search: FeaturesSearch) {
  const query = useQuery(matchesQuery({ sae, ...search }));
  const [last, setLast] = useState<{ sae: string; matches: Matches } | null>(null);
  if (query.data && last?.matches !== query.data) setLast({ sae, matches: query.data });
  const known = query.data ?? (last?.sae === sae ? last.matches : undefined);
  // A link whose query cannot be read still shows the features that there are.
  const all = useQuery({ ...matchesQuery({ sae, run: search.run }), enabled: query.isError && !known && Boolean(search.q) });
  const matches = known ?? all.data;
  return { query, matches, isStale: query.isPlaceholderData || (query.isError && matches !== undefined) };
}

export function FeaturesScreen() {
  const { sae } = route.useParams();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { q = "", sort, view = "table", at } = search;
  const list = { sae, run: search.run, q, sort };
  const { query, matches, isStale } = useLastMatches(sae, search);
  const columns = useQuery(columnsQuery(sae, search.run, matches?.snapshot));
  const [brush, setBrush] = useState<Range | null>(null);
  const isPale = useLate(isStale) && brush === null;
  const [peeked, setPeeked] = useState<number | null>(null);
  const [isFilterOpen, setFilterOpen] = useState(false);

  // The list that is shown: the answer, narrowed by a brush that has not become a term yet.
  const ids = useMemo(
    () => (!matches ? new Uint32Array() : brush && columns.data ? filterIds(matches.ids, [brush], columns.data) : matches.ids),
    [matches, brush, columns.data],
  );
  // The brush has done its work once its term is answered.
  const answered = query.isPlaceholderData ? null : (query.data ?? query.error);
  const [seen, setSeen] = useState(answered);
  if (answered !== seen) {
    setSeen(answered);
    if (answered) setBrush(null);
  }
  useEffect(() => {
    if (matches && !isStale) announce(`${plural(matches.n_matches, "feature")} of ${whole(matches.n_features)}`);
  }, [matches, isStale]);

  const listed = useCalm(ids, brush !== null);
  const [active, setActive] = useActive(listed, at);
  const change = useCallback(
    (next: Partial<FeaturesSearch>, replace = false) => void navigate({ search: (before) => ({ ...before, ...next }), replace }),
    [navigate],
  );
  const setQ = useCallback((text: string) => change({ q: text || undefined, at: undefined }), [change]);
  // What the shown rows lead to belongs to the query that was answered: while a new one loads they stay as they are.
  const asked = matches?.query.text || undefined;
  useTitle(asked ? `${asked} · Features` : "Features");
  const shown = useMemo(() => ({ run: search.run, q: asked, sort }), [search.run, asked, sort]);
  const openNow = useCallback(async (id: number) => {
    await navigate({ search: (before) => ({ ...before, at: id }), replace: true });
    await navigate({ to: "/s/$sae/f/$index", params: { sae, index: String(id) }, search: shown });
  }, [navigate, sae, shown]);
  const open = useCallback((id: number) => void openNow(id), [openNow]);
  const move = (step: number) => listed.length > 0 && setActive(Math.max(0, Math.min(listed.length - 1, active + step)));
  const parts = matches?.query.parts ?? [];
  const here = listed[active];

  useKeys("List", {
    j: ["Next feature", () => move(1)],
    k: ["Feature before", () => move(-1)],
    Enter: ["Open the feature", () => here !== undefined && open(here)],
    o: ["Peek at the feature", () => here !== undefined && setPeeked(here)],
    Escape: ["Take the query out", () => q && setQ("")],
  });

  const body = {
    of: { sae, run: search.run, snapshot: matches?.snapshot, isHeld: brush !== null }, ids: listed, search: shown, sort: matches?.query.sort ?? [], active,
    onActive: setActive, onOpen: open, onPeek: setPeeked, onSort: (key: string) => change({ sort: key, at: undefined }),
  };
  const facets = (matches || query.isPending) && <FacetPanel list={list} parts={parts} isWaiting={!matches || query.isPlaceholderData} onChange={setQ} />;
  const isBadQuery = query.error instanceof ApiError && query.error.problem?.position;
  return (
    <div className="flex h-full min-h-0 flex-col">
      <h1 className="sr-only">Features</h1>
      <div className="space-y-2 border-b border-line bg-surface px-3 pt-2.5 pb-1.5 sm:px-4">
        <QueryBar q={q} parts={query.isError ? [] : parts} error={query.error} isBusy={query.isFetching && !query.isPending} onChange={setQ} />
        {columns.data && matches && (
          <HistogramStrip
            columns={columns.data} nFeatures={matches.n_features} ids={ids} parts={parts} brush={brush} onBrush={setBrush}
            onCommit={(names, term, range) => {
              setBrush(range);
              setQ(replaceTerm(q, parts, [...names], term));
            }}
          />
        )}
        {!columns.data && !columns.isError && <div className="h-[82px]" />}
        {columns.isError && <ErrorNote error={columns.error} what="The histograms could not be loaded." retry={() => void columns.refetch()} />}
      </div>
      <div className="flex min-h-0 flex-1">
        <aside aria-label="Filters" className="w-56 shrink-0 overflow-y-auto border-r border-line px-2 py-3 max-lg:hidden">
          {facets}
        </aside>
        <section aria-label="Matches" aria-busy={query.isFetching} className={`flex min-w-0 flex-1 flex-col bg-surface ${isPale ? "stale" : ""}`}>
          <div className="flex h-10 shrink-0 items-center gap-2 border-b border-line px-3">
            <button type="button" className="btn max-sm:px-2 lg:hidden" onClick={() => setFilterOpen(true)}><ListFilter size={14} aria-hidden /> <span className="max-sm:sr-only">Filters</span></button>
            <p className="num min-w-0 truncate text-sm">
              {matches && <><strong className="font-semibold">{whole(ids.length)}</strong> <span className="text-muted max-sm:hidden">of {whole(matches.n_features)} features</span></>}
            </p>
            <div className="ml-auto flex items-center gap-2">
              {ids.length > 0 && <Link to="/s/$sae/label" params={{ sae }} search={{ run: search.run, q: asked }} preload={false} className="btn max-sm:px-2" title="Label these features"><Tags size={14} aria-hidden /> <span className="max-sm:sr-only">Label…</span></Link>}
              {ids.length > 0 && <Link to="/s/$sae/review" params={{ sae }} search={{ run: search.run, q: asked }} className="btn max-sm:px-2" title="Review the labels of these features"><ClipboardCheck size={14} aria-hidden /> <span className="max-sm:sr-only">Review</span></Link>}
              <SortMenu keys={matches?.query.sort ?? []} onChange={(key) => change({ sort: key === "-activation_frequency" ? undefined : key, at: undefined })} />
              <Segmented
                label="View" value={view} onChange={(next) => change({ view: next === "cards" ? next : undefined, at: here })}
                options={[{ value: "table", text: <Rows3 size={14} aria-label="Table" />, title: "Table" }, { value: "cards", text: <LayoutGrid size={14} aria-label="Cards" />, title: "Cards" }]}
              />
            </div>
          </div>
          {query.isError && !isBadQuery && <div className="p-3"><ErrorNote error={query.error} what="The features could not be listed." retry={() => void query.refetch()} /></div>}
          {!matches && query.isPending && <div className="p-4"><Bones rows={10} className="h-9" /></div>}
          {matches && ids.length === 0 && !brush && <div className="overflow-auto"><EmptyResult list={list} parts={parts} onChange={setQ} /></div>}
          {matches && ids.length === 0 && brush && <p className="p-10 text-center text-sm text-muted">No match lies in this range.</p>}
          {listed.length > 0 && (view === "cards" ? <FeatureCards {...body} /> : <FeatureTable {...body} />)}
        </section>
      </div>
      {isFilterOpen && <Dialog title="Filters" label="Filters" width="360px" onClose={() => setFilterOpen(false)}>{facets}</Dialog>}
      {peeked !== null && <Suspense><Peek sae={sae} search={search} ids={ids} index={peeked} onIndex={setPeeked} onOpen={open} onClose={() => setPeeked(null)} /></Suspense>}
    </div>
  );
}

/** Histograms and counts follow the pointer; the rows, which cost far more to draw, follow when it rests. */
function useCalm(ids: Uint32Array, isHeld: boolean): Uint32Array {
  const [calm, setCalm] = useState(ids);
  if (!isHeld && calm !== ids) setCalm(ids);
  useEffect(() => {
    if (!isHeld) return undefined;
    const timer = window.setTimeout(() => setCalm(ids), 120);
    return () => window.clearTimeout(timer);
  }, [ids, isHeld]);
  return isHeld ? calm : ids;
}

/** The place in the list that has the focus; a link may say by `at` which feature that is. */
function useActive(ids: Uint32Array, at: number | undefined): [number, (place: number) => void] {
  const [active, setActive] = useState<number | null>(null);
  const linked = useMemo(() => (at === undefined ? 0 : Math.max(0, ids.indexOf(at))), [ids, at]);
  const seen = useRef(ids);
  useEffect(() => {
    if (seen.current !== ids) setActive(null);
    seen.current = ids;
  }, [ids]);
  return [Math.min(active ?? linked, Math.max(0, ids.length - 1)), setActive];
}

function SortMenu({ keys, onChange }: { keys: string[]; onChange: (key: string) => void }) {
  const current = keys[0] ?? "";
  const name = SORTS.find(([key]) => key === current)?.[1] ?? words(current.replace(/^-/, ""));
  return (
    <Menu
      label={`Sort: ${name}`}
      trigger={<><span className="text-muted max-sm:hidden">Sort</span> {name}</>}
      items={SORTS.map(([key, text]) => ({ key, label: text, hint: key, isChosen: key === current, run: () => onChange(key) }))}
    />
  );
}
