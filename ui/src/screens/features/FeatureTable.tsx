import { ArrowDown, ArrowUp, Eye } from "lucide-react";
import { memo, useEffect, useRef, useState, type MouseEvent } from "react";

import type { FeatureRow } from "../../api/types";
import * as format from "../../lib/format";
import { useRowWindow } from "../../lib/rowWindow";
import type { FeaturesSearch } from "../../lib/search";
import { useWidth } from "../../lib/useWidth";
import { ErrorNote } from "../../parts/states";
import { FeatureLink } from "./FeatureLink";
import { RowFlags, RowHistogram, RowLabel, RowSnippet, RowTokens } from "./RowParts";
import { useRows, type RowsOf } from "./useRows";

export type BodyProps = {
  of: RowsOf;
  ids: Uint32Array;
  search: FeaturesSearch;
  sort: string[];
  active: number;
  onActive: (place: number) => void;
  onOpen: (id: number) => void;
  onPeek: (id: number) => void;
  onSort: (key: string) => void;
};

const HEAD_PX = 33;
const WIDE = "64px minmax(210px,1.4fr) 84px 76px 74px 66px 66px minmax(180px,2fr) 34px";
const HEADS: [title: string, key: string | null][] = [
  ["Index", "feature_index"], ["Label or tokens", null], ["Flags", null], ["Activations", null],
  ["Density", "activation_frequency"], ["Max", "max_activation"], ["Mean", "mean_activation"], ["Strongest example", null], ["", null],
];

/** All matches as a grid of which only what is seen exists. */
export function FeatureTable(props: BodyProps) {
  const { of, ids, active, onActive, onOpen, onPeek } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [width, measure] = useWidth(scroller);
  const isNarrow = width > 0 && width < 860;
  const height = isNarrow ? 104 : 52;
  const rows = useRowWindow(scroller, { count: ids.length, rowHeight: height, overscan: useOverscan(ids), startAt: active, stickyHeight: isNarrow ? 0 : HEAD_PX });
  const { scrollTo } = rows;
  const loaded = useRows(of, ids, rows.first, rows.last);

  const wasActive = useRef(active);
  useEffect(() => {
    if (wasActive.current === active) return;
    wasActive.current = active;
    scrollTo(active);
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-place="${active}"]`)?.focus({ preventScroll: true }));
  }, [active, scrollTo]);

  return (
    <div ref={measure} className="flex min-h-0 flex-1 flex-col">
      {loaded.error && <div className="p-2"><ErrorNote error={loaded.error} what="Some rows could not be loaded." retry={loaded.retry} /></div>}
      <div ref={scroller} role="grid" aria-label="Features" aria-rowcount={ids.length + 1} aria-colcount={isNarrow ? undefined : HEADS.length} className="rows relative min-h-0 flex-1">
        <Head {...props} isNarrow={isNarrow} />
        <div role="rowgroup" className="relative" style={{ height: rows.height }}>
          {Array.from({ length: rows.last - rows.first + 1 }, (_, i) => {
            const index = rows.first + i;
            const id = ids[index] as number;
            const row = loaded.rows.get(id);
            const Cells = isNarrow ? NarrowCells : WideCells;
            return (
              <div
                key={id} role="row" data-place={index} aria-rowindex={index + 2} tabIndex={index === active ? 0 : -1}
                className={`absolute inset-x-0 cursor-pointer border-b border-line px-3 -outline-offset-2 hover:bg-raised/60 ${index === active ? "bg-raised/70" : ""} ${isNarrow ? "" : "grid items-center gap-x-3"}`}
                style={{ height, transform: `translateY(${rows.topOf(index)}px)`, gridTemplateColumns: isNarrow ? undefined : WIDE }}
                onFocus={() => index !== active && onActive(index)}
                onClick={(event) => isPlainClick(event) && onOpen(id)}
                onKeyDown={(event) => event.key === "Enter" && event.target === event.currentTarget && (event.preventDefault(), onOpen(id))}
              >
                <Cells id={id} row={row} sae={of.sae} search={props.search} onOpen={onOpen} onPeek={onPeek} isActive={index === active} />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** Rows beyond the edges are for scrolling; the first screenful of an answer does not wait for them. */
function useOverscan(ids: Uint32Array): number {
  const [calm, setCalm] = useState<Uint32Array | null>(null);
  useEffect(() => {
    const timer = window.setTimeout(() => setCalm(ids), 250);
    return () => window.clearTimeout(timer);
  }, [ids]);
  return calm === ids ? 8 : 1;
}

/** A click that neither selects text nor was meant for a link or a button. */
function isPlainClick(event: MouseEvent): boolean {
  const onControl = event.target instanceof Element && event.target.closest("a,button") !== null;
  return !onControl && !event.metaKey && !event.ctrlKey && event.button === 0 && (window.getSelection()?.isCollapsed ?? true);
}

function Head({ sort, onSort, isNarrow }: BodyProps & { isNarrow: boolean }) {
  if (isNarrow) return null;
  return (
    <div role="rowgroup" className="sticky top-0 z-10 border-b border-line bg-surface">
      <div role="row" aria-rowindex={1} className="grid h-8 items-center gap-x-3 px-3" style={{ gridTemplateColumns: WIDE }}>
        {HEADS.map(([title, key], i) => {
          const first = sort[0];
          const order = key !== null && first?.replace(/^-/, "") === key ? (first.startsWith("-") ? "descending" : "ascending") : undefined;
          const isNumber = i >= 4 && i <= 6;
          return (
            <div key={key ?? i} role="columnheader" aria-sort={order} className={`eyebrow truncate ${isNumber ? "text-right" : ""}`}>
              {key ? (
                <button type="button" className={`inline-flex items-center gap-0.5 hover:text-fg ${order ? "text-fg" : ""}`} onClick={() => onSort(order === "descending" || (!order && i === 0) ? key : `-${key}`)}>
                  {title}{order === "descending" && <ArrowDown size={11} aria-hidden />}{order === "ascending" && <ArrowUp size={11} aria-hidden />}
                </button>
              ) : title || <span className="sr-only">Peek</span>}
            </div>
          );
        })}
      </div>
    </div>
  );
}

type CellsProps = {
  id: number; row: FeatureRow | undefined; sae: string; search: FeaturesSearch; isActive: boolean;
  onOpen: (id: number) => void; onPeek: (id: number) => void;
};

const IndexLink = ({ id, sae, search, isActive, onOpen }: CellsProps) => (
  <FeatureLink id={id} sae={sae} search={search} isReachable={isActive} onOpen={onOpen} />
);

function PeekButton({ id, onPeek, isActive }: CellsProps) {
  return (
    <button type="button" className="btn btn-quiet px-1" tabIndex={isActive ? 0 : -1} aria-label={`Peek at feature ${id}`} title="Peek (o)" onClick={() => onPeek(id)}>
      <Eye size={15} aria-hidden />
    </button>
  );
}

const WideCells = memo(function WideCells(props: CellsProps) {
  const { row } = props;
  const bone = <div className="late bone h-4 w-4/5" />;
  const numbers = row && [format.frequency(row.activation_frequency), format.value(row.max_activation), format.value(row.mean_activation)];
  return (
    <>
      <div role="gridcell"><IndexLink {...props} /></div>
      <div role="gridcell" className="flex min-w-0 flex-col justify-center">{row ? <RowLabel row={row} /> : bone}</div>
      <div role="gridcell">{row && <RowFlags row={row} />}</div>
      <div role="gridcell">{row ? <RowHistogram row={row} /> : bone}</div>
      {[0, 1, 2].map((i) => <div key={i} role="gridcell" className="num text-right text-sm">{numbers ? numbers[i] : bone}</div>)}
      <div role="gridcell" className="min-w-0 text-sm">{row ? <RowSnippet row={row} /> : bone}{row?.label && <RowTokens row={row} />}</div>
      <div role="gridcell"><PeekButton {...props} /></div>
    </>
  );
});

const NarrowCells = memo(function NarrowCells(props: CellsProps) {
  const { row } = props;
  return (
    <div role="gridcell" className="flex h-full flex-col justify-center gap-1">
      <div className="flex items-center gap-2">
        <IndexLink {...props} />
        {row && <RowHistogram row={row} width={44} height={16} />}
        <span className="num text-xs text-muted">{row && `${format.frequency(row.activation_frequency)} · max ${format.value(row.max_activation)}`}</span>
        <span className="ml-auto">{row && <RowFlags row={row} />}</span>
        <PeekButton {...props} />
      </div>
      <div className="flex min-w-0 flex-col">{row ? <RowLabel row={row} /> : <div className="late bone h-4 w-3/5" />}</div>
      <div className="min-w-0">{row ? <RowSnippet row={row} /> : <div className="late bone h-4" />}</div>
    </div>
  );
});
