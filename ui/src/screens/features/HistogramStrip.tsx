import { useMemo } from "react";

import type { Column } from "../../api/blocks";
import type { QueryPart } from "../../api/types";
import { assignBins, countBins, makeAxis, type Axis, type Range } from "../../lib/binning";
import { partOn, rangeTerm, readRange } from "../../lib/terms";
import { BrushHistogram, type Ends } from "./BrushHistogram";

/** What is drawn, and the names under which the query language knows it; the first is the one that is written. */
const FIGURES = [
  { field: "activation_frequency", title: "Density", names: ["density", "activation_frequency"] },
  { field: "max_activation", title: "Max activation", names: ["max_activation"] },
  { field: "mean_activation", title: "Mean activation", names: ["mean_activation"] },
  { field: "n_documents_fired", title: "Documents", names: ["n_documents_fired"] },
] as const;

export type Brush = { range: Range; names: readonly string[]; term: string | null };
type Drawn = { axis: Axis; bins: Uint8Array; all: Uint32Array };
type Props = {
  columns: Map<string, Column>;
  nFeatures: number;
  ids: Uint32Array;
  parts: QueryPart[];
  brush: Range | null;
  onBrush: (range: Range) => void;
  onCommit: (names: readonly string[], term: string | null, range: Range | null) => void;
};

export function HistogramStrip({ columns, nFeatures, ids, parts, brush, onBrush, onCommit }: Props) {
  // Bins are given out once per run; whatever is brushed after that only counts bytes.
  const drawn = useMemo(() => {
    const every = new Uint32Array(nFeatures).map((_, i) => i); // Uint32Array.from a length takes six times as long
    const found = new Map<string, Drawn>();
    for (const { field } of FIGURES) {
      const values = columns.get(field)?.subarray(0, nFeatures);
      const axis = values && makeAxis(field, values, true);
      if (!values || !axis) continue;
      const bins = assignBins(axis, values);
      found.set(field, { axis, bins, all: countBins(axis.bins, bins, every) });
    }
    return found;
  }, [columns, nFeatures]);

  // A control that was drawn along has an index past the features; it has no bin here.
  const counts = useMemo(() => new Map([...drawn].map(([field, { axis, bins }]) => [field, countBins(axis.bins, bins, ids)])), [drawn, ids]);

  return (
    <div className="grid auto-cols-[minmax(150px,1fr)] grid-flow-col gap-x-6 overflow-x-auto px-0.5 pt-1">
      {FIGURES.map(({ field, title, names }) => {
        const figure = drawn.get(field);
        const count = counts.get(field);
        if (!figure || !count) return null;
        const asked = readRange(partOn(parts, [...names]));
        const inQuery: Ends | null = asked && { low: asked[0], high: asked[1] };
        const ends = brush?.field === field ? brush : inQuery;
        return (
          <BrushHistogram
            key={field} axis={figure.axis} title={title} all={figure.all} ends={ends} counts={count}
            onBrush={(next) => onBrush({ field, ...next })}
            onCommit={(next) => onCommit(names, next && writeTerm(names[0], figure.axis, next), next && { field, ...next })}
          />
        );
      })}
    </div>
  );
}

/** An end at the axis' own end is left open: it was not chosen. */
function writeTerm(name: string, axis: Axis, { low, high }: Ends): string | null {
  const from = low <= axis.low * (1 + 1e-9) ? null : low;
  const to = high >= axis.high * (1 - 1e-9) ? null : high;
  return from === null && to === null ? null : rangeTerm(name, from, to);
}
