import { Eye } from "lucide-react";
import { useEffect, useRef } from "react";

import * as format from "../../lib/format";
import { useRowWindow } from "../../lib/rowWindow";
import { useWidth } from "../../lib/useWidth";
import { ErrorNote } from "../../parts/states";
import { FeatureLink } from "./FeatureLink";
import type { BodyProps } from "./FeatureTable";
import { RowFlags, RowHistogram, RowLabel, RowSnippet, RowTokens } from "./RowParts";
import { useRows } from "./useRows";

const HEIGHT = 160;

/** The same matches as cards: more text of each, fewer at a time. */
export function FeatureCards({ of, ids, search, active, onActive, onOpen, onPeek }: BodyProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [width, measure] = useWidth(scroller);
  const lanes = Math.max(1, Math.floor(width / 330));
  const lines = useRowWindow(scroller, { count: Math.ceil(ids.length / lanes), rowHeight: HEIGHT, overscan: 2, startAt: Math.floor(active / lanes) });
  const { scrollTo } = lines;
  const first = lines.first * lanes;
  const last = Math.min(ids.length - 1, (lines.last + 1) * lanes - 1);
  const loaded = useRows(of, ids, first, last);
  const wasActive = useRef(active);
  useEffect(() => {
    if (wasActive.current === active) return;
    wasActive.current = active;
    scrollTo(Math.floor(active / lanes));
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-place="${active}"] a`)?.focus({ preventScroll: true }));
  }, [active, lanes, scrollTo]);
  return (
    <div ref={measure} className="flex min-h-0 flex-1 flex-col">
      {loaded.error && <div className="p-2"><ErrorNote error={loaded.error} what="Some features could not be loaded." retry={loaded.retry} /></div>}
      <div ref={scroller} className="rows relative min-h-0 flex-1">
        <ul aria-label="Features" className="relative" style={{ height: lines.height }}>
          {Array.from({ length: last - first + 1 }, (_, i) => {
              const place = first + i;
              const [line, lane] = [Math.floor(place / lanes), place % lanes];
              const id = ids[place] as number;
              const row = loaded.rows.get(id);
              return (
                <li key={id} data-place={place} className="absolute p-1.5" style={{ height: HEIGHT, width: `${100 / lanes}%`, left: `${(100 / lanes) * lane}%`, transform: `translateY(${lines.topOf(line)}px)` }} onFocus={() => place !== active && onActive(place)}>
                  <article className={`card flex h-full flex-col gap-1.5 overflow-hidden px-3 py-2.5 ${place === active ? "border-edge" : ""}`} aria-posinset={place + 1} aria-setsize={ids.length}>
                    <div className="flex items-center gap-2">
                      <FeatureLink id={id} sae={of.sae} search={search} onOpen={onOpen} />
                      {row && <RowFlags row={row} />}
                      <span className="num ml-auto text-xs text-muted">{row && `${format.frequency(row.activation_frequency)} · max ${format.value(row.max_activation)}`}</span>
                      {row && <RowHistogram row={row} width={54} height={18} />}
                      <button type="button" className="btn btn-quiet -mr-1.5 px-1" aria-label={`Peek at feature ${id}`} title="Peek (o)" onClick={() => onPeek(id)}><Eye size={15} aria-hidden /></button>
                    </div>
                    {row ? (
                      <>
                        <div className="flex min-w-0 flex-col text-sm"><RowLabel row={row} /></div>
                        <div className="min-h-0 flex-1 overflow-hidden"><RowSnippet row={row} line={false} /></div>
                        {row.label && <RowTokens row={row} />}
                      </>
                    ) : <div className="late space-y-2"><div className="bone h-4 w-2/3" /><div className="bone h-14" /></div>}
                  </article>
                </li>
              );
            })}
        </ul>
      </div>
    </div>
  );
}
