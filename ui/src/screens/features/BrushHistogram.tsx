import { useId, useRef, type KeyboardEvent, type PointerEvent } from "react";

import { fromShare, logHeight, snap, ticks, toShare, type Axis } from "../../lib/binning";
import * as format from "../../lib/format";

export type Ends = { low: number; high: number };
type Props = {
  axis: Axis;
  title: string;
  /** All features of the run, behind. */
  all: Uint32Array;
  /** The matches, in front. */
  counts: Uint32Array;
  /** What the query or the brush asks for. */
  ends: Ends | null;
  onBrush: (ends: Ends) => void;
  onCommit: (ends: Ends | null) => void;
};
const HEIGHT = 44;

/** A histogram to drag over: the bars follow the matches, the brush becomes a term of the query when it is let go. */
export function BrushHistogram({ axis, title, all, counts, ends, onBrush, onCommit }: Props) {
  const svg = useRef<SVGSVGElement>(null);
  const from = useRef<number | null>(null);
  const id = useId();
  const most = all.reduce((a, b) => Math.max(a, b), 1);
  const show = (x: number) => (axis.field === "activation_frequency" ? format.round(format.frequency(x)) : format.value(x));

  const shareOf = (event: PointerEvent) => {
    const box = svg.current?.getBoundingClientRect();
    return box ? Math.min(0.9999, Math.max(0, (event.clientX - box.left) / box.width)) : 0;
  };
  const endsAt = (event: PointerEvent): Ends => snap(axis, from.current ?? 0, shareOf(event));
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") onCommit(null);
    if (!step) return;
    event.preventDefault();
    // The arrows move the lower end, with Shift the upper one, by a bin.
    const bin = (x: number) => Math.round(toShare(axis, x) * axis.bins);
    let low = ends ? bin(ends.low) : 0;
    let high = ends ? bin(ends.high) : axis.bins;
    if (event.shiftKey) high = Math.max(low + 1, Math.min(axis.bins, high + step));
    else low = Math.max(0, Math.min(high - 1, low + step));
    onCommit({ low: fromShare(axis, low / axis.bins), high: fromShare(axis, high / axis.bins) });
  };

  const bars = (values: Uint32Array) => {
    let path = "";
    for (let i = 0; i < axis.bins; i++) {
      const h = logHeight(values[i] ?? 0, most) * (HEIGHT - 1);
      if (h > 0) path += `M${((i + 0.08) / axis.bins) * 100} ${HEIGHT}v${-Math.max(1.5, h)}h${84 / axis.bins}v${Math.max(1.5, h)}z`;
    }
    return path;
  };
  const left = ends ? toShare(axis, ends.low) : 0;
  const right = ends ? toShare(axis, ends.high) : 1;
  return (
    <figure className="m-0 min-w-0">
      <figcaption id={id} className="relative flex items-baseline justify-between gap-2 text-xs">
        <span className="font-medium">{title}</span>
        {ends ? (
          <button type="button" className="num truncate text-data-text hover:underline" title="Clear" onClick={() => onCommit(null)}>
            {show(Math.max(ends.low, axis.low))} – {show(Math.min(ends.high, axis.high))} <span aria-hidden>×</span><span className="sr-only">: clear {title}</span>
          </button>
        ) : null}
      </figcaption>
      <div className="relative mt-1">
        <svg
          ref={svg} viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" className="block w-full cursor-crosshair touch-pan-y select-none" style={{ height: HEIGHT }}
          role="slider" tabIndex={0} aria-labelledby={id} aria-valuemin={0} aria-valuemax={axis.bins} aria-valuenow={Math.round(left * axis.bins)}
          aria-valuetext={ends ? `${show(ends.low)} to ${show(ends.high)}` : "everything"} aria-keyshortcuts="ArrowLeft ArrowRight Shift+ArrowLeft Shift+ArrowRight Delete"
          onKeyDown={onKeyDown}
          onPointerDown={(event) => {
            if (event.button !== 0) return;
            event.currentTarget.setPointerCapture(event.pointerId);
            from.current = shareOf(event);
          }}
          onPointerMove={(event) => from.current !== null && Math.abs(shareOf(event) - from.current) > 0.004 && onBrush(endsAt(event))}
          onPointerUp={(event) => {
            if (from.current === null) return;
            const isClick = Math.abs(shareOf(event) - from.current) <= 0.004;
            onCommit(isClick && ends ? null : endsAt(event));
            from.current = null;
          }}
          onPointerCancel={() => {
            from.current = null;
            onCommit(ends);
          }}
        >
          <path d={bars(all)} fill="var(--data-soft)" />
          <path d={bars(counts)} fill="var(--data)" data-bar />
          {ends && <rect x={left * 100} width={Math.max(0.5, (right - left) * 100)} y={0} height={HEIGHT} fill="var(--data)" opacity={0.16} />}
          <path d={`M0 ${HEIGHT - 0.5}H100`} stroke="var(--edge)" strokeWidth={1} vectorEffect="non-scaling-stroke" />
        </svg>
        {ends && [left, right].map((at, i) => <i key={i} className="pointer-events-none absolute top-0 bottom-0 w-0.5 -translate-x-px rounded bg-data-text" style={{ left: `${at * 100}%` }} />)}
      </div>
      <div className="num relative h-4 text-[10.5px] text-muted" aria-hidden>
        {ticks(axis).map((x) => {
          const at = toShare(axis, x);
          return <span key={x} className="absolute whitespace-nowrap" style={{ left: `${at * 100}%`, transform: `translateX(${-at * 100}%)` }}>{show(x)}</span>;
        })}
      </div>
    </figure>
  );
}
