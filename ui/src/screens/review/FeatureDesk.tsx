import { Link } from "@tanstack/react-router";
import { ArrowUpRight, CircleCheck, Star } from "lucide-react";
import { memo, useMemo, useState } from "react";

import type { Feature, Label } from "../../api/types";
import { candidatesOf, chosenOf, writtenFrom, type Written } from "../../lib/candidates";
import type { Done } from "../../lib/desk";
import type { FeatureSearch } from "../../lib/search";
import { Flag } from "../../parts/small";
import { Evidence } from "../feature/Evidence";
import { RejectForm } from "../feature/RejectForm";
import { CandidateList } from "./CandidateList";
import { ReviewActions, type Deeds } from "./ReviewActions";
import { ShortFacts } from "./ShortFacts";
import { WriteForm } from "./WriteForm";

/** What is being written: over a candidate, anew, or the reason why one is wrong. */
export type Form = { kind: "write"; from: Label | null; written: Written } | { kind: "reject"; label: Label; reason: string };

/** A form that was opened; each has a number of its own, so that none takes over what was typed in another. */
export type OpenForm = { feature: number; form: Form; number: number };

export const editForm = (from: Label | null): Form => ({ kind: "write", from, written: writtenFrom(from) });

export type DeskDeeds = Deeds & {
  choose: (label: Label) => void;
  star: () => void;
  saveWritten: (written: Written, from: Label | null) => void;
  saveReject: (label: Label, reason: string) => void;
  closeForm: () => void;
};

type Props = {
  feature: Feature;
  search: FeatureSearch;
  onSearch: (next: Partial<FeatureSearch>) => void;
  chosenId: number | undefined;
  open: OpenForm | null;
  done: Done | undefined;
  deeds: DeskDeeds;
};

/** One feature to decide about: evidence left, candidates right. */
export const FeatureDesk = memo(function FeatureDesk({ feature, search, onSearch, chosenId, open, done, deeds }: Props) {
  const [band, setBand] = useState<string | undefined>();
  const candidates = useMemo(() => candidatesOf(feature.labels), [feature.labels]);
  const chosen = chosenOf(candidates, chosenId);
  const shown = useMemo(() => inOrder(feature), [feature]);
  const ofEvidence = useMemo(() => ({ ...search, band }), [search, band]);
  return (
    <article aria-label={`Feature ${feature.feature_index}`} className="grid items-start gap-x-6 gap-y-4 lg:grid-cols-[minmax(0,1fr)_minmax(360px,420px)]">
      <div className="min-w-0 space-y-3 lg:sticky lg:top-3 lg:order-last lg:max-h-[calc(100dvh-68px)] lg:overflow-y-auto lg:p-0.5" tabIndex={-1}>
        <DeskHeader feature={feature} done={done} onStar={deeds.star} run={search.run} />
        <div className={open ? "max-lg:hidden" : ""}><ReviewActions deeds={deeds} chosen={chosen} isReady={open === null} /></div>
        {open && <div key={open.number} className="card p-3" data-form><DeskForm sae={feature.sae.uid} form={open.form} deeds={deeds} /></div>}
        <section aria-label="Labels to choose from"><CandidateList labels={feature.labels} candidates={candidates} chosen={chosen} onChoose={deeds.choose} /></section>
      </div>
      <div className="min-w-0 space-y-4">
        <ShortFacts feature={feature} />
        <Evidence
          feature={shown} search={ofEvidence} hasReachKeys={false}
          onChange={(next) => {
            if ("band" in next) setBand(next.band);
            else onSearch(next);
          }}
        />
      </div>
    </article>
  );
});

function DeskForm({ sae, form, deeds }: { sae: string; form: Form; deeds: DeskDeeds }) {
  if (form.kind === "reject") {
    return <RejectForm label={form.label} isBusy={false} reason={form.reason} onReject={(reason) => deeds.saveReject(form.label, reason)} onCancel={deeds.closeForm} />;
  }
  return <WriteForm sae={sae} from={form.written} isEdit={form.from !== null} onSave={(written) => deeds.saveWritten(written, form.from)} onCancel={deeds.closeForm} />;
}

const FIRST = ["top", "uniform", "near_miss", "non_firing"];

const placeOf = (band: string): number => (FIRST.includes(band) ? FIRST.indexOf(band) : FIRST.length);

/** What speaks for and against a label comes before the octaves. */
const inOrder = (feature: Feature): Feature => ({ ...feature, bands: feature.bands.toSorted((a, b) => placeOf(a.band) - placeOf(b.band)) });

const DONE: Record<Done["verb"], string> = { accepted: "You accepted", rejected: "You rejected", wrote: "You wrote", skipped: "You skipped it" };

function DeskHeader({ feature, done, onStar, run }: { feature: Feature; done: Done | undefined; onStar: () => void; run: string | undefined }) {
  const { is_favorite: isFavorite } = feature.labels;
  return (
    <header>
      <div className="flex items-center gap-1.5">
        <h2 className="num mr-auto font-mono text-lg font-medium">#{feature.feature_index}</h2>
        <button type="button" className="btn btn-quiet px-1.5" aria-pressed={isFavorite} aria-label="Favourite" title={`${isFavorite ? "No favourite any more" : "Mark as a favourite"} (f)`} onClick={onStar}>
          <Star size={16} fill={isFavorite ? "currentColor" : "none"} aria-hidden />
        </button>
        <Link className="btn btn-quiet px-1.5" to="/s/$sae/f/$index" params={{ sae: feature.sae.uid, index: String(feature.feature_index) }} search={{ run }} title="Open the feature's page (o)" aria-label="Open the feature's page">
          <ArrowUpRight size={16} aria-hidden />
        </Link>
      </div>
      {(feature.flags.length > 0 || done) && (
        <p className="flex flex-wrap items-center gap-1.5 text-sm">
          {feature.flags.map((flag) => <Flag key={flag} name={flag} />)}
          {done && <span className="inline-flex min-w-0 items-center gap-1"><CircleCheck size={14} className="shrink-0 text-ok" aria-hidden /> <span className="[overflow-wrap:anywhere]">{DONE[done.verb]}{done.text !== null && ` “${done.text}”`}; u takes it back</span></span>}
        </p>
      )}
    </header>
  );
}
