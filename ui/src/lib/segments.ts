/** Cuts token text into plain strings and marks: what is not marked stays one string, and needs no element. */
import type { Histogram, Mark, TokenText } from "../api/types";

export type Run = { text: string; mark: Mark | null; isPeak: boolean };
export type Window = { first: number; last: number };
export const SCALES = ["linear", "log", "percentile"] as const;
export type Scale = (typeof SCALES)[number];
/** What colours are shares of: the feature's maximum, or, by rank, all that it ever fired with. */
export type Shade = { max: number; scale: Scale; firings?: Histogram | undefined };
export const STEPS = 5;

const startOf = (content: TokenText, segment: number): number => (segment > 0 ? (content.ends[segment - 1] ?? 0) : 0);

export const segmentText = (content: TokenText, segment: number): string =>
  content.text.slice(startOf(content, segment), content.ends[segment]);

/** Segments around the peak: as many on either side as asked for, whole segments only. */
export function around(content: TokenText, before: number, after: number): Window {
  return {
    first: Math.max(0, content.peak_segment - before),
    last: Math.min(content.ends.length - 1, content.peak_segment + after),
  };
}

/** Text and marks of a window (all of it by default), in order; their strings add up to the text exactly. */
export function cutRuns(content: TokenText, window?: Window): Run[] {
  const first = window?.first ?? 0;
  const last = window?.last ?? content.ends.length - 1;
  const runs: Run[] = [];
  let at = startOf(content, first);
  for (const mark of content.marks) {
    if (mark.segment < first || mark.segment > last) continue;
    const start = startOf(content, mark.segment);
    const end = content.ends[mark.segment] ?? start;
    if (start > at) runs.push({ text: content.text.slice(at, start), mark: null, isPeak: false });
    runs.push({ text: content.text.slice(start, end), mark, isPeak: mark.segment === content.peak_segment });
    at = end;
  }
  const end = content.ends[last] ?? content.text.length;
  if (end > at) runs.push({ text: content.text.slice(at, end), mark: null, isPeak: false });
  return runs;
}

/** Share of all firings that are weaker, as exact as the histogram's bins: within one they count as evenly spread. */
export function shareBelow({ edges, counts }: Histogram, value: number): number | null {
  const all = counts.reduce((sum, n) => sum + n, 0);
  if (all === 0) return null;
  let below = 0;
  counts.forEach((n, i) => {
    const [low, high] = [edges[i] ?? 0, edges[i + 1] ?? 0];
    below += n * Math.max(0, Math.min(1, (value - low) / (high - low || 1)));
  });
  return below / all;
}

/** One of five steps of the data colour, 0 for what does not fire; log spreads four octaves below the maximum. */
export function stepOf(value: number | null, { max, scale, firings }: Shade): number {
  if (value === null || value === 0 || !(max > 0)) return 0;
  const share = Math.abs(value) / max;
  const rank = scale === "percentile" && firings && value > 0 ? shareBelow(firings, value) : null;
  const place = scale === "log" ? 1 + Math.log2(share) / 5 : (rank ?? share);
  return Math.max(1, Math.min(STEPS, Math.ceil(place * STEPS - 1e-9)));
}

/** What stands for a token that would not be seen when marked. */
export function glyph(text: string): string | null {
  if (/\S/.test(text)) return null;
  if (text === "") return "∅";
  return [...text].map((c) => (c === "\n" ? "⏎" : c === "\t" ? "⇥" : c === "\r" ? "␍" : "␣")).join("");
}
