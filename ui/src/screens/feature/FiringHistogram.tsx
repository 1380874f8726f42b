import { useRef, useState, type PointerEvent } from "react";

import type { Feature } from "../../api/types";
import { logHeight, octavesIn } from "../../lib/binning";
import { octaveOf } from "../../lib/bands";
import * as format from "../../lib/format";
import { useHovered } from "../../lib/hovered";
import { Panel } from "./Panel";

const WIDTH = 340;
const HEIGHT = 96;
type Props = { feature: Feature; band: string | undefined; onBand: (band: string | undefined) => void };

/** Where in the bars a value stands: bins are drawn equally wide, so octaves are too. */
export function placeOf(edges: number[], value: number): number | null {
  for (let i = 0; i + 1 < edges.length; i++) {
    const [low, high] = [edges[i] as number, edges[i + 1] as number];
    if (value >= low && value <= high) return (i + (value - low) / (high - low || 1)) / (edges.length - 1);
  }
  return null;
}

/** Firing values on log axes. A click or a drag shows the examples of the octaves that it touches. */
export function FiringHistogram({ feature, band, onBand }: Props) {
  const { edges, counts } = feature.histogram;
  const svg = useRef<SVGSVGElement>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const hovered = useHovered();
  const most = Math.max(...counts, 1);
  const step = WIDTH / Math.max(counts.length, 1);
  const chosen = new Set((band ?? "").split(",").map(octaveOf).filter((octave) => octave !== null));
  const isChosen = (i: number) => octavesIn(edges[i] ?? 0, edges[i + 1] ?? 0).some((octave) => chosen.has(octave));
  const line = hovered === null ? null : placeOf(edges, hovered);
  const known = new Set(feature.bands.map((b) => octaveOf(b.band)));

  const binAt = (event: PointerEvent) => {
    const box = svg.current?.getBoundingClientRect();
    return box ? Math.max(0, Math.min(counts.length - 1, Math.floor(((event.clientX - box.left) / box.width) * counts.length))) : 0;
  };
  const finish = () => {
    if (!drag) return;
    const [a, b] = [Math.min(...drag), Math.max(...drag)];
    const octaves = octavesIn(edges[a] ?? 0, edges[b + 1] ?? 0).filter((octave) => known.has(octave));
    const next = octaves.toReversed().map((octave) => `octave:${octave}`).join(",");
    onBand(next === band || !next ? undefined : next);
    setDrag(null);
  };
  const about = `Histogram of ${format.whole(feature.n_fires)} firing values, from ${format.value(edges[0])} to ${format.value(edges.at(-1))}`;
  const marks = edges.map((edge, i) => ({ edge, i })).filter(({ edge }) => edge > 0 && Number.isInteger(Math.log2(edge)));
  const every = Math.ceil(marks.length / 7);
  return (
    <Panel title="Firing values" aside={`${format.whole(feature.n_fires)} firings, log`}>
      <svg
        ref={svg} viewBox={`0 0 ${WIDTH} ${HEIGHT + 16}`} className="block w-full cursor-pointer touch-pan-y select-none" role="img" aria-label={`${about}. The buttons below choose an octave.`}
        onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); setDrag([binAt(event), binAt(event)]); }}
        onPointerMove={(event) => drag && setDrag([drag[0], binAt(event)])}
        onPointerUp={finish} onPointerCancel={() => setDrag(null)}
      >
        {counts.map((n, i) => {
          const h = n ? Math.max(2, logHeight(n, most) * (HEIGHT - 6)) : 0;
          const inDrag = drag && i >= Math.min(...drag) && i <= Math.max(...drag);
          const isLit = drag ? inDrag : chosen.size === 0 || isChosen(i);
          return (
            <g key={i} data-tip={`${format.whole(n)} firings from ${format.value(edges[i])} to ${format.value(edges[i + 1])}`}>
              <rect x={i * step} width={step} height={HEIGHT} fill="transparent" />
              <rect data-bar x={i * step + 0.75} y={HEIGHT - h} width={Math.max(1, step - 1.5)} height={h} rx={1} fill={isLit ? "var(--data)" : "var(--data-soft)"} />
            </g>
          );
        })}
        <path d={`M0 ${HEIGHT}H${WIDTH}`} stroke="var(--edge)" strokeWidth={1} />
        {marks.filter((_, n) => n % every === 0).map(({ edge, i }) => (
          <text key={edge} x={Math.min(WIDTH - 10, Math.max(6, i * step))} y={HEIGHT + 12} textAnchor="middle" fontSize={10.5} fill="var(--muted)">{format.value(edge)}</text>
        ))}
        {line !== null && <path d={`M${line * WIDTH} 0V${HEIGHT}`} stroke="var(--fg)" strokeWidth={1.5} />}
      </svg>
    </Panel>
  );
}
