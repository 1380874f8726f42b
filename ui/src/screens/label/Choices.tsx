import { X } from "lucide-react";
import type { ReactNode } from "react";

import type { Matches } from "../../api/queries";
import type { ProviderStatus } from "../../api/types";
import { ANSWERS, BUDGETS, PACE, PRICES, queryOf, searchOfQuery, type LabelSearch, type NumberName, type ProviderName } from "../../lib/labeling";
import { Check, NumberInput } from "../../parts/fields";
import { Segmented } from "../../parts/small";
import { QueryBar } from "../features/QueryBar";
import { ProviderChoice } from "./ProviderChoice";
import { TemplateChoice } from "./TemplateChoice";

type Props = {
  search: LabelSearch;
  provider: ProviderName;
  statuses: ProviderStatus[];
  matches: Matches | undefined;
  fault: Error | null;
  isBusy: boolean;
  onChange: (next: Partial<LabelSearch>) => void;
  onLookAgain: () => void;
};

/** Everything that is chosen about a labeling; what it means stands beside it. */
export function Choices({ search, provider, statuses, matches, fault, isBusy, onChange, onLookAgain }: Props) {
  const asks = provider !== "lexical";
  const numbers = (fields: typeof BUDGETS | typeof PACE | typeof ANSWERS | typeof PRICES) =>
    fields.map((field) => <NumberInput key={field.name} field={field} value={search[field.name as NumberName]} onChange={(value) => onChange({ [field.name]: value })} />);
  return (
    <div className="space-y-5">
      <Part title="Which features">
        <QueryBar q={queryOf(search)} parts={fault ? [] : (matches?.query.parts ?? [])} error={fault} isBusy={isBusy} group="Label" placeholder="all features; or is:unlabeled  ·  density:1e-4.." onChange={(q) => onChange(searchOfQuery(q))} />
        {search.retry_of !== undefined && (
          <p className="inline-flex items-center rounded-full border border-line bg-data-wash pl-2.5 text-xs">
            only what failed in job {search.retry_of}
            <button type="button" className="flex size-6 items-center justify-center rounded-full text-muted hover:text-fg" aria-label={`Not only what failed in job ${search.retry_of}`} onClick={() => onChange({ retry_of: undefined })}><X size={12} aria-hidden /></button>
          </p>
        )}
        {asks && <Check label="Also those that have a label" hint="They get another one, which comes into force; older ones are kept. What people wrote or accepted stays in force." isOn={search.relabel === "1"} onChange={(isOn) => onChange({ relabel: isOn ? "1" : undefined })} />}
        <Check label="Rules first" hint="A feature of a single token or position gets its label from counts, free of charge." isOn={search.rules !== "off"} onChange={(isOn) => onChange({ rules: isOn ? undefined : "off" })} />
      </Part>
      <Part title="Who labels">
        <ProviderChoice statuses={statuses} provider={provider} search={search} onChange={onChange} onLookAgain={onLookAgain} />
      </Part>
      {asks && (
        <>
          <Part title="In which words"><TemplateChoice value={search.template} onChange={(template) => onChange({ template })} /></Part>
          <Part title="For how much"><div className="grid grid-cols-2 gap-3">{numbers(BUDGETS)}</div></Part>
          <details className="group" open={[...PACE, ...ANSWERS, ...PRICES].some((field) => search[field.name] !== undefined) || search.answer_format !== undefined}>
            <summary className="text-sm font-semibold">More: pace, answers, prices</summary>
            <div className="mt-3 grid grid-cols-2 gap-3">
              {numbers(PACE)}
              {numbers(ANSWERS)}
              <div className="col-span-2">
                <p className="mb-0.5 text-xs font-medium">Form of the answers</p>
                <Segmented
                  label="Form of the answers" value={search.answer_format ?? "schema"} onChange={(next) => onChange({ answer_format: next === "text" ? "text" : undefined })}
                  options={[{ value: "schema", text: "JSON schema", title: "The answer is held to a JSON schema" }, { value: "text", text: "Text", title: "For servers that know no schemas" }]}
                />
              </div>
              {numbers(PRICES)}
            </div>
          </details>
        </>
      )}
    </div>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title} className="space-y-2.5">
      <h2 className="text-sm">{title}</h2>
      {children}
    </section>
  );
}
