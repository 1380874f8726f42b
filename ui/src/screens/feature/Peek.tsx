import { useQuery, useQueryClient } from "@tanstack/react-query";
import { ArrowRight, ChevronLeft, ChevronRight } from "lucide-react";
import { useEffect } from "react";

import { featureQuery } from "../../api/queries";
import type { Feature } from "../../api/types";
import { bandName } from "../../lib/bands";
import { whole } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import type { FeaturesSearch } from "../../lib/search";
import { Dialog } from "../../parts/Dialog";
import { TokenChip } from "../../parts/small";
import { Bones, ErrorNote } from "../../parts/states";
import { Snippet } from "../../parts/TokenText";
import { Silence, StatCards } from "./StatCards";

type Props = { sae: string; search: FeaturesSearch; ids: Uint32Array; index: number; onIndex: (id: number) => void; onOpen: (id: number) => void; onClose: () => void };

/** A feature at a glance, without leaving the list; n and p walk on. */
export default function Peek({ sae, search, ids, index, onIndex, onOpen, onClose }: Props) {
  const client = useQueryClient();
  const query = useQuery(featureQuery(sae, search.run, index));
  const place = ids.indexOf(index);
  const step = (by: number) => {
    const next = ids[place + by];
    if (next !== undefined) onIndex(next);
  };
  useEffect(() => {
    for (const by of [1, -1]) {
      const next = ids[place + by];
      if (next !== undefined) void client.prefetchQuery(featureQuery(sae, search.run, next));
    }
  }, [client, sae, search.run, ids, place]);
  useKeys("Dialog", {
    n: ["Next feature", () => step(1)],
    j: ["Next feature", () => step(1)],
    p: ["Feature before", () => step(-1)],
    k: ["Feature before", () => step(-1)],
    o: ["Close", onClose],
    Enter: ["Open the feature", () => onOpen(index)],
  });
  const label = query.data?.labels.current;
  return (
    <Dialog
      label={`Feature ${index}`} width="860px" onClose={onClose}
      title={<><span className="num mr-2 font-mono text-muted">#{index}</span>{label?.semantic_label ?? <span className="font-normal text-muted">unlabeled</span>}</>}
      actions={
        <>
          <span className="num text-xs text-muted max-sm:hidden">{whole(place + 1)} of {whole(ids.length)}</span>
          <button type="button" className="btn px-1.5" disabled={place <= 0} onClick={() => step(-1)} aria-label="Feature before" title="Feature before (p)"><ChevronLeft size={15} aria-hidden /></button>
          <button type="button" className="btn px-1.5" disabled={place >= ids.length - 1} onClick={() => step(1)} aria-label="Next feature" title="Next feature (n)"><ChevronRight size={15} aria-hidden /></button>
          <button type="button" className="btn btn-main" onClick={() => onOpen(index)} title="Open (Enter)">Open <ArrowRight size={14} aria-hidden /></button>
        </>
      }
    >
      {query.isError && <ErrorNote error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Bones rows={7} className="h-8" />}
      {query.data && <Glance feature={query.data} />}
    </Dialog>
  );
}

function Glance({ feature }: { feature: Feature }) {
  const shown = feature.bands.filter((band) => band.items.length > 0 && ["top", "uniform", "near_miss"].includes(band.band));
  return (
    <div className="space-y-4">
      {feature.labels.current?.explanation && <p className="text-sm">{feature.labels.current.explanation}</p>}
      {feature.n_fires === 0 ? <Silence feature={feature} /> : <StatCards feature={feature} />}
      {feature.top_tokens.length > 0 && (
        <p className="flex flex-wrap gap-1" aria-label="Tokens it fires on">
          {feature.top_tokens.slice(0, 14).map((top) => <TokenChip key={top.token_id} token={top.token} />)}
        </p>
      )}
      {shown.map((band) => (
        <section key={band.band} aria-label={bandName(band.band)}>
          <h3 className="eyebrow mb-0.5">{bandName(band.band)}</h3>
          <ol className="divide-y divide-line">
            {band.items.slice(0, band.band === "top" ? 5 : 3).map((example) => (
              <li key={example.place} className="py-1"><Snippet content={example.content} max={feature.max_activation ?? 0} before={16} after={14} line /></li>
            ))}
          </ol>
        </section>
      ))}
    </div>
  );
}
