import type { Feature } from "../../api/types";
import { bandName, chosenBands, toggleBand } from "../../lib/bands";
import { whole } from "../../lib/format";
import { RANGES, type FeatureSearch, type Reach } from "../../lib/search";
import { SCALES, type Scale } from "../../lib/segments";
import { Segmented } from "../../parts/small";
import { Band } from "./Band";

/** `hasReachKeys`: digits choose how much text is shown. */
type Props = { feature: Feature; search: FeatureSearch; hasReachKeys?: boolean; onChange: (next: Partial<FeatureSearch>) => void };

const SHADES: Record<Scale, string> = { linear: "Colour by the share of the maximum (h)", log: "Colour by octaves below the maximum (h)", percentile: "Colour by the share of firings that are weaker (h)" };
const REACH: Record<Reach, string> = { stacked: "One line each, peaks in a column", snippet: "The peak and some text around it", full: "The whole context" };

/** The examples, band by band: where it is strongest, where it is weak, and where it is silent although one might think. */
export function Evidence({ feature, search, hasReachKeys = true, onChange }: Props) {
  const { range = "snippet", scale = "linear" } = search;
  const named = search.band ? search.band.split(",") : [];
  return (
    <section aria-label="Examples">
      <div className="mb-2 flex flex-wrap items-center gap-2">
        <h2 className="mr-auto text-sm">Examples</h2>
        <Segmented label="How much text" value={range} onChange={(next) => onChange({ range: next === "snippet" ? undefined : next })} options={RANGES.map((value, i) => ({ value, text: value[0]!.toUpperCase() + value.slice(1), title: hasReachKeys ? `${REACH[value]} (${i + 1})` : REACH[value] }))} />
        <Segmented
          label="Colour scale" value={scale} onChange={(next) => onChange({ scale: next === "linear" ? undefined : next })}
          options={SCALES.map((value) => ({ value, text: value[0]!.toUpperCase() + value.slice(1), title: SHADES[value] }))}
        />
        <button type="button" className="btn" aria-pressed={search.breaks === "1"} title="Marks at line breaks (w)" aria-label="Marks at line breaks" onClick={() => onChange({ breaks: search.breaks ? undefined : "1" })}>↵</button>
      </div>
      <ul className="mb-3 flex flex-wrap gap-1" aria-label="Bands">
        <li><button type="button" className="btn min-h-6 px-2 text-xs" aria-pressed={named.length === 0} onClick={() => onChange({ band: undefined })}>All</button></li>
        {feature.bands.filter((band) => band.n_in_band > 0).map((band) => (
          <li key={band.band}>
            <button type="button" className="btn num min-h-6 px-2 text-xs" aria-pressed={named.includes(band.band)} onClick={() => onChange({ band: toggleBand(search.band, band.band) })}>
              {bandName(band.band)} <span className="text-muted">{whole(band.n_in_band)}</span>
            </button>
          </li>
        ))}
      </ul>
      <div className="space-y-5">
        {chosenBands(feature.bands, search.band).filter((band) => band.n_published > 0).map((band) => (
          <Band key={band.band} feature={feature} band={band} range={range} scale={scale} breaks={search.breaks === "1"} run={search.run} />
        ))}
      </div>
      {feature.bands.length === 0 && <p className="text-sm text-muted">This run kept no examples of it.</p>}
    </section>
  );
}
