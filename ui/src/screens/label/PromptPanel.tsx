import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { useState, type FormEvent } from "react";

import { previewQuery, type Spec } from "../../api/labelingQueries";
import type { PromptWording } from "../../api/types";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { useLast } from "../../lib/useLast";
import { useLate } from "../../lib/useLate";
import { PromptText } from "../../parts/PromptText";
import { Bones, ErrorNote } from "../../parts/states";

type Props = {
  sae: string | undefined;
  run: string | undefined;
  spec: Spec | null;
  wording?: PromptWording;
  /** Features to walk through; any other can be typed. */
  sample: number[];
  feature: number | null;
  onFeature: (index: number) => void;
  /** Why nothing can be shown yet. */
  missing?: string | null;
};

/** What decides the text of a question; the rest of a spec only decides how it is asked. */
const MATTERS = new Set(["run", "provider", "model", "template", "max_output_tokens", "temperature", "answer_format", "price_in", "price_out"]);

/** The exact question about a feature, as a dry run and a job send it. */
export function PromptPanel({ sae, run, spec, wording, sample, feature, onFeature, missing }: Props) {
  const asked = spec && Object.fromEntries(Object.entries(spec).filter(([name]) => MATTERS.has(name)));
  const query = useQuery(previewQuery(missing ? null : asked, feature, wording));
  const last = useLast(query.data);
  const found = missing ? undefined : last;
  const isPale = useLate(query.isPlaceholderData || (query.isError && found !== undefined));
  const place = feature === null ? -1 : sample.indexOf(feature);
  const step = (by: number) => {
    const next = sample[place < 0 ? 0 : (place + by + sample.length) % sample.length];
    if (next !== undefined) onFeature(next);
  };
  useKeys("Prompt", { n: ["Prompt of the next feature", () => step(1)], p: ["Prompt of the feature before", () => step(-1)] });
  return (
    <section aria-label="Prompt" aria-busy={query.isFetching}>
      <header className="mb-2 flex flex-wrap items-center gap-x-3 gap-y-1.5">
        <h2 className="text-sm">Prompt</h2>
        <div className="flex items-center gap-1">
          <button type="button" className="btn px-1.5" disabled={sample.length < 2} onClick={() => step(-1)} aria-label="Prompt of the feature before" title="Feature before (p)"><ChevronLeft size={15} aria-hidden /></button>
          <FeatureNumber feature={feature} onFeature={onFeature} />
          <button type="button" className="btn px-1.5" disabled={sample.length < 2} onClick={() => step(1)} aria-label="Prompt of the next feature" title="Next feature (n)"><ChevronRight size={15} aria-hidden /></button>
        </div>
        {feature !== null && sae && <Link to="/s/$sae/f/$index" params={{ sae, index: String(feature) }} search={{ run }} className="text-xs underline">its page</Link>}
        {found && (
          <p className={`num text-xs text-muted ${isPale ? "stale" : ""}`}>
            ≈ {format.whole(found.n_tokens_in)} tokens in{found.usd !== null && ` · ≈ ${format.usd(found.usd)}`}
          </p>
        )}
      </header>
      {missing && <p className="text-sm text-muted">{missing}</p>}
      {!missing && query.isError && <div className="mb-2"><ErrorNote error={query.error} what="The prompt could not be shown." retry={() => void query.refetch()} /></div>}
      {!missing && feature !== null && query.isPending && <Bones rows={8} />}
      {found && <div className={isPale ? "stale" : ""}><PromptText label="Prompt" system={found.system} user={found.user} json={found.request} /></div>}
    </section>
  );
}

function FeatureNumber({ feature, onFeature }: { feature: number | null; onFeature: (index: number) => void }) {
  const [typed, setTyped] = useState(String(feature ?? ""));
  const [seen, setSeen] = useState(feature);
  if (seen !== feature) {
    setSeen(feature);
    setTyped(String(feature ?? ""));
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (/^\d{1,9}$/.test(typed)) onFeature(Number(typed));
  };
  return (
    <form onSubmit={submit} className="flex items-center gap-1">
      <span className="text-muted" aria-hidden>#</span>
      <input className="field num w-20 font-mono" aria-label="Feature whose prompt is shown" inputMode="numeric" pattern="\d{1,9}" title="a feature's number" value={typed} onChange={(event) => setTyped(event.target.value.trim())} onBlur={submit} />
    </form>
  );
}
