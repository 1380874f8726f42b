/** Histograms and filters over whole columns in memory: what a brush does while it is dragged. */
import type { Column } from "../api/blocks";

/** How a column is drawn: on a log axis zero and below have no place and are counted apart. */
export type Axis = { field: string; log: boolean; low: number; high: number; bins: number };
export type Range = { field: string; low: number; high: number };

/** Rounds a column's extent out to whole bins; null where no value can be drawn. */
export function makeAxis(field: string, values: Column, log: boolean, bins = 36): Axis | null {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const x = values[i] as number;
    if (!(log ? x > 0 : x === x) || x === Infinity) continue;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  if (low > high) return null;
  if (!log) return { field, log, low, high: high > low ? high : low + 1, bins };
  const step = 4; // quarter decades
  const from = Math.floor(Math.log10(low) * step) / step;
  let to = Math.ceil(Math.log10(high) * step) / step;
  if (to <= from) to = from + 1 / step;
  return { field, log, low: 10 ** from, high: 10 ** to, bins };
}

/** 0 … 1 along the axis. */
export function toShare(axis: Axis, x: number): number {
  const share = axis.log
    ? (Math.log10(x) - Math.log10(axis.low)) / (Math.log10(axis.high) - Math.log10(axis.low))
    : (x - axis.low) / (axis.high - axis.low);
  return Math.min(1, Math.max(0, Number.isNaN(share) ? 0 : share));
}

export function fromShare(axis: Axis, share: number): number {
  if (!axis.log) return axis.low + share * (axis.high - axis.low);
  const low = Math.log10(axis.low);
  return 10 ** (low + share * (Math.log10(axis.high) - low));
}

/** The bin of every value, once per column: 255 for what has no place. Brushing then only counts bytes. */
export function assignBins(axis: Axis, values: Column): Uint8Array {
  const out = new Uint8Array(values.length).fill(255);
  const low = axis.log ? Math.log10(axis.low) : axis.low;
  const width = ((axis.log ? Math.log10(axis.high) : axis.high) - low) / axis.bins;
  for (let i = 0; i < values.length; i++) {
    const x = values[i] as number;
    if (!(axis.log ? x > 0 : x === x)) continue;
    const bin = Math.floor(((axis.log ? Math.log10(x) : x) - low) / width);
    out[i] = bin < 0 ? 0 : bin >= axis.bins ? axis.bins - 1 : bin;
  }
  return out;
}

export function countBins(bins: number, assigned: Uint8Array, ids: Uint32Array): Uint32Array {
  const counts = new Uint32Array(256);
  for (let i = 0; i < ids.length; i++) counts[assigned[ids[i] as number] as number]!++;
  return counts.slice(0, bins);
}

/** The ids whose values lie in all ranges, both ends included, in the order given. */
export function filterIds(ids: Uint32Array, ranges: Range[], columns: Map<string, Column>): Uint32Array {
  if (ranges.length === 0) return ids;
  let kept = ids;
  for (const { field, low, high } of ranges) {
    const values = columns.get(field);
    if (!values) continue;
    const next = new Uint32Array(kept.length);
    let n = 0;
    for (let i = 0; i < kept.length; i++) {
      const id = kept[i] as number;
      const x = values[id] as number;
      if (x >= low && x <= high) next[n++] = id;
    }
    kept = next.subarray(0, n);
  }
  return kept;
}

/** A brush's ends at the edges of the bins it touches, so that what is drawn is what is asked for. */
export function snap(axis: Axis, a: number, b: number): { low: number; high: number; from: number; to: number } {
  const from = Math.max(0, Math.min(axis.bins - 1, Math.floor(Math.min(a, b) * axis.bins)));
  const to = Math.max(from + 1, Math.min(axis.bins, Math.ceil(Math.max(a, b) * axis.bins)));
  return { low: fromShare(axis, from / axis.bins), high: fromShare(axis, to / axis.bins), from, to };
}

/** Tick values: powers of ten on a log axis, at most `most` of them; both ends on a linear one. */
export function ticks(axis: Axis, most = 4): number[] {
  if (!axis.log) return [axis.low, axis.high];
  const first = Math.ceil(Math.log10(axis.low) - 1e-9);
  const last = Math.floor(Math.log10(axis.high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / most));
  const found: number[] = [];
  for (let power = first; power <= last; power += every) found.push(10 ** power);
  return found.length ? found : [axis.low, axis.high];
}

/** Bar heights 0 … 1 on a log count axis, where one is still seen. */
export const logHeight = (count: number, most: number): number => (count <= 0 ? 0 : Math.log1p(count) / Math.log1p(Math.max(most, 1)));

/** Octave bands whose values a range touches: `octave:N` holds peaks in [2^N, 2^(N+1)). */
export function octavesIn(low: number, high: number): number[] {
  if (!(high > 0)) return [];
  const first = Math.floor(Math.log2(Math.max(low, 2 ** -17)));
  const top = Math.log2(high);
  const last = Number.isInteger(top) && high > low ? top - 1 : Math.floor(top);
  return Array.from({ length: Math.max(1, last - first + 1) }, (_, i) => first + i);
}
