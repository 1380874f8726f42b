/** Finds an example's peak in the document around it, so that the reader's eye can stay where it is. */
import type { DocumentPiece, Example, TokenText } from "../api/types";

export function segmentAt(ends: number[], offset: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The document's text with the example's peak as its peak; a silent peak is marked too. */
export function withPeak(piece: DocumentPiece, example: Example): TokenText {
  const { content } = piece;
  const segment = findPeak(piece, example);
  if (segment === null) return content;
  if (content.marks.some((mark) => mark.segment === segment)) return { ...content, peak_segment: segment };
  const own = example.content.marks.find((mark) => mark.segment === example.content.peak_segment);
  if (!own) return { ...content, peak_segment: segment };
  const marks = [...content.marks, { ...own, segment }].toSorted((a, b) => a.segment - b.segment);
  return { ...content, marks, peak_segment: segment };
}

function findPeak(piece: DocumentPiece, example: Example): number | null {
  const { content } = piece;
  const shown = example.content;
  const start = shown.peak_segment > 0 ? (shown.ends[shown.peak_segment - 1] ?? 0) : 0;
  const expected = example.token_offset - piece.first_token + shown.peak_segment;
  let best: number | null = null;
  // The same words may come more than once; the place that the token numbers say is the right one.
  for (let at = content.text.indexOf(shown.text); at >= 0; at = content.text.indexOf(shown.text, at + 1)) {
    const segment = segmentAt(content.ends, at + start);
    if (best === null || Math.abs(segment - expected) < Math.abs(best - expected)) best = segment;
  }
  return best;
}
