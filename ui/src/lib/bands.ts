/** What the kinds of examples are called, and which of them the address asks for. */
import type { BandExamples } from "../api/types";
import * as format from "./format";

export const octaveOf = (band: string): number | null => {
  const match = /^octave:(-?\d+)$/.exec(band);
  return match ? Number(match[1]) : null;
};

const bound = (x: number): string => (Math.abs(x) >= 1e6 || (x !== 0 && Math.abs(x) < 1e-3) ? format.value(x) : String(x));

export function bandName(band: string): string {
  const octave = octaveOf(band);
  if (octave !== null) return `Peaks ${bound(2 ** octave)} – ${bound(2 ** (octave + 1))}`;
  return { top: "Strongest", uniform: "Random firing", near_miss: "Near misses", non_firing: "Silent" }[band] ?? format.words(band);
}

export function bandAbout(band: string): string {
  if (octaveOf(band) !== null) return "Contexts whose strongest activation lies in this octave, drawn at random.";
  return (
    {
      top: "The contexts with the strongest activations, near-copies folded.",
      uniform: "A random sample of all contexts in which the feature fires: what it mostly does.",
      near_miss: "Contexts that hold one of its commonest tokens, and it is silent: what a label must not promise.",
      non_firing: "Random contexts in which the feature is silent.",
    }[band] ?? ""
  );
}

/** The bands that the address names (`band=octave:2,octave:3`); none named, all are shown. */
export function chosenBands(bands: BandExamples[], named: string | undefined): BandExamples[] {
  if (!named) return bands;
  const names = named.split(",");
  const found = bands.filter((band) => names.includes(band.band));
  return found.length ? found : bands;
}

export function toggleBand(named: string | undefined, band: string): string | undefined {
  const names = named ? named.split(",") : [];
  const next = names.includes(band) ? names.filter((name) => name !== band) : [...names, band];
  return next.length ? next.join(",") : undefined;
}
