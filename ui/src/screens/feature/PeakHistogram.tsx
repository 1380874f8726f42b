import type { Feature } from "../../api/types";
import { logHeight } from "../../lib/binning";
import { octaveOf, toggleBand } from "../../lib/bands";
import * as format from "../../lib/format";
import { Panel } from "./Panel";

type Props = { feature: Feature; band: string | undefined; onBand: (band: string | undefined) => void };

/** Contexts by the octave of their peak; each octave with published examples chooses those. */
export function PeakHistogram({ feature, band, onBand }: Props) {
  const octaves = feature.peak_histogram.filter((octave) => octave.n_contexts > 0).toReversed();
  const most = Math.max(...octaves.map((octave) => octave.n_contexts), 1);
  const published = new Set(feature.bands.map((b) => octaveOf(b.band)));
  const chosen = (band ?? "").split(",");
  if (octaves.length === 0) return null;
  return (
    <Panel title="Contexts by their peak" aside={`${format.whole(feature.n_contexts_fired)} of ${format.whole(feature.n_contexts)}`}>
      <ul className="space-y-px">
        {octaves.map(({ low, high, n_contexts: n }) => {
          const name = `octave:${Math.round(Math.log2(high)) - 1}`;
          const isOn = chosen.includes(name);
          const share = feature.n_contexts_fired ? n / feature.n_contexts_fired : 0;
          return (
            <li key={high}>
              <button
                type="button" aria-pressed={isOn} disabled={!published.has(octaveOf(name))} onClick={() => onBand(toggleBand(band, name))}
                title={`${format.whole(n)} of ${format.whole(feature.n_contexts_fired)} firing contexts peak here (${format.percent(share)})`}
                className={`num grid w-full grid-cols-[6.5rem_1fr_4.5rem] items-center gap-2 rounded px-1.5 py-0.5 text-left text-xs enabled:hover:bg-raised ${isOn ? "bg-data-wash font-medium" : ""}`}
              >
                <span>{format.value(low)} – {format.value(high)}</span>
                <span className="h-2"><i className="block h-full rounded-sm bg-data" style={{ width: `${Math.max(1, logHeight(n, most) * 100)}%` }} /></span>
                <span className="text-right text-muted">{format.whole(n)}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}
