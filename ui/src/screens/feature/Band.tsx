import { useInfiniteQuery } from "@tanstack/react-query";

import { examplesQuery } from "../../api/queries";
import type { BandExamples, Feature } from "../../api/types";
import { bandAbout, bandName, octaveOf } from "../../lib/bands";
import { percent, whole } from "../../lib/format";
import type { Reach } from "../../lib/search";
import type { Scale } from "../../lib/segments";
import { ErrorNote } from "../../parts/states";
import { ExampleItem } from "./ExampleItem";

type Props = { feature: Feature; band: BandExamples; range: Reach; scale: Scale; breaks: boolean; run: string | undefined };

export function Band({ feature, band, range, scale, breaks, run }: Props) {
  const more = useInfiniteQuery(examplesQuery(feature.sae.uid, run, feature.feature_index, band));
  const items = [...band.items, ...(more.data?.pages ?? []).flatMap((page) => page.items)];
  const left = band.n_published - items.length;
  const share = octaveOf(band.band) !== null && feature.n_contexts_fired ? ` · ${percent(band.n_in_band / feature.n_contexts_fired)} of firing contexts` : "";
  const load = () => void (more.data ? more.fetchNextPage() : more.refetch());
  return (
    <section aria-label={bandName(band.band)} className="band">
      <header className="mb-1 flex flex-wrap items-baseline gap-x-2">
        <h3 className="text-sm" data-tip={bandAbout(band.band)} tabIndex={0}>{bandName(band.band)}</h3>
        <span className="num text-xs text-muted">{whole(items.length)} of {whole(band.n_in_band)} contexts{share}</span>
      </header>
      <ol className="card divide-y divide-line overflow-hidden">
        {items.map((example) => (
          <ExampleItem key={example.place} example={example} sae={feature.sae.uid} index={feature.feature_index} run={run} max={feature.max_activation ?? 0} firings={feature.histogram} range={range} scale={scale} breaks={breaks} />
        ))}
      </ol>
      {more.isError && <div className="mt-2"><ErrorNote error={more.error} what="No more examples came." retry={load} /></div>}
      {left > 0 && (
        <button type="button" className="btn btn-quiet mt-1 text-xs" disabled={more.isFetching} onClick={load}>
          {more.isFetching ? "Loading…" : `${Math.min(20, left)} more`} <span className="num">({whole(left)} kept)</span>
        </button>
      )}
    </section>
  );
}
