import { memo, useLayoutEffect, useRef, type ReactNode } from "react";

import type { Histogram, TokenText as Content } from "../api/types";
import * as format from "../lib/format";
import { around, cutRuns, glyph, stepOf, type Run, type Scale, type Shade, type Window } from "../lib/segments";

export type Painted = Shade & { content: Content };

/** What the one shared tooltip needs to know of a text, by its element. */
export const painted = new WeakMap<Element, Painted>();

type Props = {
  content: Content;
  /** The feature's maximum, of which colours are shares. */
  max: number;
  scale?: Scale;
  /** All that the feature fired with, for ranks. */
  firings?: Histogram | undefined;
  window?: Window;
  /** Show ↵ where a line ends. */
  breaks?: boolean;
  /** One line, cropped by its box. */
  line?: boolean;
  /** One line with the peak in the middle. */
  stack?: boolean;
  /** In lists, marks are not stops of the keyboard. */
  still?: boolean;
};

export const TokenText = memo(function TokenText(props: Props) {
  const { content, max, scale = "linear", firings, window, breaks = false, line = false, stack = false, still = false } = props;
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (box.current) painted.set(box.current, { content, max, scale, firings });
  }, [content, max, scale, firings]);
  const runs = cutRuns(content, window);
  const paint = (list: Run[]) => list.map((run, i) => paintRun(run, i, { max, scale, firings, still, glyphs: breaks || line || stack }));
  if (!stack) {
    return (
      <div ref={box} className={line ? "tt tt-line" : "tt"} dir="auto" data-tt>
        {paint(runs)}
      </div>
    );
  }
  const at = runs.findIndex((run) => run.isPeak);
  return (
    <div ref={box} className="tt tt-line tt-stack" data-tt>
      <span className="overflow-hidden"><span>{paint(runs.slice(0, Math.max(at, 0)))}</span></span>
      <span>{at >= 0 && paint(runs.slice(at, at + 1))}</span>
      <span className="overflow-hidden">{paint(runs.slice(at + 1))}</span>
    </div>
  );
});

type Paint = Shade & { still: boolean; glyphs: boolean };

function paintRun(run: Run, key: number, paint: Paint): ReactNode {
  const { mark } = run;
  if (!mark) return paint.glyphs && run.text.includes("\n") ? withBreaks(run.text, key) : run.text;
  const step = stepOf(mark.value, paint);
  const shown = glyph(run.text);
  const share = mark.value === null ? "does not fire" : `activation ${format.value(mark.value)}, ${format.percent(mark.value / paint.max)} of max`;
  const lead = shown === null && run.text.startsWith(" ") ? 1 : 0;
  const focus = paint.still ? {} : { tabIndex: run.isPeak ? 0 : -1, role: "img", "aria-label": `${shown ?? run.text.trim()}, ${share}` };
  const element = (
    <span
      key={key}
      className="tk"
      data-s={step}
      data-m={mark.segment}
      data-t={mark.tokens[0]?.token_id}
      data-g={shown ?? undefined}
      data-peak={run.isPeak || undefined}
      data-neg={(mark.value ?? 0) < 0 || undefined}
      {...focus}
    >
      {run.text.slice(lead)}
    </span>
  );
  // A token's leading space stands before the mark: at the end of a line it would draw a box around nothing.
  return lead ? [run.text.slice(0, lead), element] : element;
}

function withBreaks(text: string, key: number): ReactNode[] {
  return text.split(/(\n)/).map((piece, i) =>
    piece === "\n" ? <span key={`${key}.${i}`} className="nl">{piece}</span> : piece,
  );
}

/** The peak with some segments around it. */
export function Snippet({ before = 12, after = 12, ...props }: Omit<Props, "window"> & { before?: number; after?: number }) {
  return <TokenText {...props} window={around(props.content, before, after)} />;
}
