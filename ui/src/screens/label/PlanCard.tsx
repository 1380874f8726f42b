import type { UseQueryResult } from "@tanstack/react-query";
import { FlaskConical, Play } from "lucide-react";
import type { ReactNode } from "react";

import type { LabelingPlan } from "../../api/types";
import { LEFT_OUT } from "../../lib/causes";
import * as format from "../../lib/format";
import { labelCommand, N_DRY, type LabelSearch } from "../../lib/labeling";
import { useLast } from "../../lib/useLast";
import { useLate } from "../../lib/useLate";
import { Command } from "../../parts/Copy";
import { Num } from "../../parts/small";
import { Bones, ErrorNote } from "../../parts/states";

type Props = {
  plan: UseQueryResult<LabelingPlan>;
  spec: Record<string, unknown>;
  search: LabelSearch;
  /** Why nothing can be planned yet, in a sentence. */
  missing: string | null;
  /** Why nobody can be asked yet, though it can be planned. */
  unready: string | null;
  isBusy: boolean;
  onChange: (next: Partial<LabelSearch>) => void;
  onDryRun: () => void;
  onStart: () => void;
  children?: ReactNode;
};

/** What the choices mean: how many features, who is left out, for how much and how long; and the buttons that do it. */
export function PlanCard({ plan, spec, search, missing, unready, isBusy, onChange, onDryRun, onStart, children }: Props) {
  const last = useLast(plan.data);
  const found = missing ? undefined : last;
  const isPale = useLate(plan.isPlaceholderData || (plan.isError && found !== undefined));
  const isKnown = found !== undefined && !plan.isPlaceholderData && !plan.isError;
  const canAsk = isKnown && found.n_features > 0 && !unready && !isBusy;
  return (
    <section aria-label="What it takes" className="card space-y-3.5 p-4" aria-busy={plan.isFetching}>
      {missing && <p className="text-sm text-muted">{missing}</p>}
      {!missing && plan.isPending && <Bones rows={4} className="h-6" />}
      {found && (
        <div className={`space-y-3.5 ${isPale ? "stale" : ""}`}>
          <Features plan={found} search={search} onChange={onChange} />
          {found.n_features > 0 && <Figures plan={found} search={search} />}
        </div>
      )}
      {!missing && plan.isError && <ErrorNote error={plan.error} what="This cannot be done as it stands." retry={() => void plan.refetch()} />}
      {unready && <p className="text-sm text-muted">{unready}</p>}
      <div className="flex flex-wrap gap-2">
        <button type="button" className="btn" disabled={!canAsk} onClick={onDryRun} title={`Asks about ${N_DRY} features and keeps no label (d)`}><FlaskConical size={14} aria-hidden /> Dry run {N_DRY}</button>
        <button type="button" className="btn btn-main" disabled={!canAsk} onClick={onStart}><Play size={14} aria-hidden /> {isBusy ? "Starting…" : "Start"}</button>
      </div>
      {children}
      <div>
        <p className="eyebrow mb-1">The same on the command line</p>
        <Command text={labelCommand(spec)} />
      </div>
    </section>
  );
}

function Features({ plan, search, onChange }: { plan: LabelingPlan; search: LabelSearch; onChange: Props["onChange"] }) {
  const left = Object.entries(plan.n_skipped).filter(([, n]) => n > 0);
  const nLabeled = plan.n_skipped["labeled"] ?? 0;
  return (
    <div>
      <p className="text-lg font-semibold">
        {plan.n_features > 0 ? <><span className="num">{format.plural(plan.n_features, "feature")}</span> to label</> : "Nothing to label"}
      </p>
      {left.length > 0 && (
        <ul className="num mt-1 text-sm text-muted">
          {left.map(([why, n]) => <li key={why}>{format.whole(n)} {plan.n_features > 0 ? "more " : ""}{LEFT_OUT[why] ?? why}</li>)}
        </ul>
      )}
      {plan.n_features === 0 && left.length === 0 && <p className="mt-1 text-sm text-muted">No feature matches the query{search.retry_of ? ` and failed in job ${search.retry_of}` : ""}.</p>}
      {nLabeled > 0 && !search.relabel && <button type="button" className="btn mt-2" onClick={() => onChange({ relabel: "1" })}>Label these {format.whole(nLabeled)} again</button>}
    </div>
  );
}

function Figures({ plan, search }: { plan: LabelingPlan; search: LabelSearch }) {
  const by = plan.is_measured ? "Measured: as earlier answers of this model went." : "Estimated from the prompts of a sample; a dry run makes it measured.";
  const price = plan.usd === null
    ? `No price of ${plan.model} is known; give one under More.`
    : `$${plan.usd_per_million_in} per million tokens in, $${plan.usd_per_million_out} out.\nWhat a rule settles is free and not taken off here.`;
  const figures: [name: string, text: string, tip: string][] = [
    ["Tokens in", `≈ ${format.brief(plan.n_tokens_in)}`, `${format.whole(plan.n_tokens_in)} tokens asked.\n${by}`],
    ["Tokens out", `≈ ${format.brief(plan.n_tokens_out)}`, `${format.whole(plan.n_tokens_out)} tokens answered.\n${by}`],
    ["Price", plan.usd === null ? "not known" : `≈ ${format.usd(plan.usd)}`, price],
    ["Time", plan.seconds === null ? "not known yet" : `≈ ${format.duration(plan.seconds)}`, plan.seconds === null ? "Nothing is known of the model's pace; a dry run measures it." : `${by}\nThe slowest of answering and the limits a minute.`],
  ];
  return (
    <>
      <dl className="grid grid-cols-2 gap-x-4 gap-y-2.5 border-t border-line pt-3 sm:grid-cols-4">
        {figures.map(([name, text, tip]) => (
          <div key={name}>
            <dt className="eyebrow">{name}</dt>
            <dd className="mt-px font-medium"><Num tip={tip}>{text}</Num></dd>
          </div>
        ))}
      </dl>
      <p className="text-xs text-muted">
        {plan.model}, template {plan.template} version {plan.template_version}; {plan.is_measured ? "measured by earlier answers" : "estimated"}.
      </p>
      <BudgetNote plan={plan} search={search} />
    </>
  );
}

/** Where the budget will end it before all is asked. */
function BudgetNote({ plan, search }: { plan: LabelingPlan; search: LabelSearch }) {
  const shares = [
    search.budget !== undefined && plan.usd ? Number(search.budget) / plan.usd : Infinity,
    search.budget_tokens !== undefined ? Number(search.budget_tokens) / Math.max(1, plan.n_tokens_in + plan.n_tokens_out) : Infinity,
  ];
  const share = Math.min(...shares);
  if (share >= 1) return null;
  return <p className="text-sm text-bad">The budget ends it after about {format.whole(Math.floor(share * plan.n_features))} of {format.plural(plan.n_features, "feature")}.</p>;
}
