import { Check } from "lucide-react";

import type { PromptEvidence, PromptVariables } from "../../api/types";
import { NumberInput } from "../../parts/fields";

type Props = { variables: PromptVariables["variables"]; used: ReadonlySet<string>; onInsert: (name: string) => void };

/** Every variable with what stands in its place; a click puts it where the cursor is. */
export function VariableList({ variables, used, onInsert }: Props) {
  return (
    <ul className="divide-y divide-line">
      {variables.map(({ name, meaning }) => (
        <li key={name}>
          {/* The cursor has to stay where it is. */}
          <button type="button" className="flex w-full items-baseline gap-2 px-3 py-1.5 text-left hover:bg-raised" title={`Insert {${name}}`} onMouseDown={(event) => event.preventDefault()} onClick={() => onInsert(name)}>
            <span className="w-3 shrink-0 self-center text-ok">{used.has(name) && <Check size={12} role="img" aria-label="used" />}</span>
            <code className="w-32 shrink-0 text-xs">{`{${name}}`}</code>
            <span className="min-w-0 text-xs text-muted">{meaning}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

type EvidenceProps = { numbers: PromptVariables["evidence"]; value: PromptEvidence; onChange: (next: PromptEvidence) => void };

const NAMES: Record<string, string> = {
  n_top: "Strongest", n_spread: "Of every strength", n_near_misses: "Near misses", n_non_firing: "Silent by chance", n_tokens: "Tokens", n_logits: "Logits", window: "Tokens around the peak",
};

/** How much of a feature the variables show. */
export function EvidenceNumbers({ numbers, value, onChange }: EvidenceProps) {
  return (
    <div className="grid grid-cols-2 gap-3 sm:grid-cols-3 xl:grid-cols-4">
      {numbers.map(({ name, meaning, default: usual, low, high }) => (
        <NumberInput
          key={name} field={{ name, label: NAMES[name] ?? name, hint: `${meaning}; ${low} to ${high}`, kind: "whole", usual }} value={String(value[name as keyof PromptEvidence])}
          onChange={(n) => onChange({ ...value, [name]: n === undefined ? usual : Number(n) })}
        />
      ))}
    </div>
  );
}
