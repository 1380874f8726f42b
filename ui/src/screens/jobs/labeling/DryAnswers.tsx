import { Link } from "@tanstack/react-router";

import type { Job } from "../../../api/types";
import { causeWords } from "../../../lib/causes";
import * as format from "../../../lib/format";
import { lintText } from "../../../lib/lint";

type DryAnswer = {
  feature_index: number;
  status: string;
  semantic_label: string | null;
  category_label: string | null;
  explanation: string | null;
  lint: string[];
  failure_cause: string | null;
  is_from_cache: boolean;
};

const number = (x: unknown): number => (typeof x === "number" ? x : 0);

/** What a dry run was answered, and what it cost. */
export function DryAnswers({ job, sae }: { job: Job; sae: string | undefined }) {
  const result = job.result ?? {};
  const answers = (Array.isArray(result["answers"]) ? result["answers"] : []) as DryAnswer[];
  const micro = result["cost_micro_usd"];
  const nKnown = number(result["n_from_cache"]);
  return (
    <div className="space-y-2">
      <ol className="divide-y divide-line rounded-lg border border-line bg-surface">
        {answers.map((answer) => (
          <li key={answer.feature_index} className="px-3 py-2">
            <p className="flex items-baseline gap-2 text-sm">
              {sae ? <Link to="/s/$sae/f/$index" params={{ sae, index: String(answer.feature_index) }} className="num shrink-0 font-mono text-xs text-muted hover:underline">#{answer.feature_index}</Link> : <span className="num font-mono text-xs text-muted">#{answer.feature_index}</span>}
              <span className="min-w-0 [overflow-wrap:anywhere]">
                {answer.semantic_label ? <span className="font-medium">{answer.semantic_label}</span> : answer.failure_cause ? <span className="text-bad">failed: {causeWords(answer.failure_cause).what.toLowerCase()}</span> : <span className="text-muted">abstained: no clear pattern</span>}
                {answer.category_label && <span className="ml-2 text-xs text-muted">{answer.category_label}</span>}
              </span>
            </p>
            {answer.explanation && <p className="mt-0.5 line-clamp-3 text-xs text-muted" title={answer.explanation}>{answer.explanation}</p>}
            {answer.lint.length > 0 && <p className="mt-0.5 text-xs text-bad">{answer.lint.map(lintText).join("; ")}</p>}
          </li>
        ))}
        {answers.length === 0 && <li className="px-3 py-2 text-sm text-muted">No feature was asked about.</li>}
      </ol>
      <p className="num text-xs text-muted">
        {format.plural(number(result["n_requests"]), "call")}, {format.whole(number(result["n_tokens_in"]))} tokens in, {format.whole(number(result["n_tokens_out"]))} out
        {typeof micro === "number" && `, ${format.usd(micro / 1e6)}`}
        {nKnown > 0 && `; ${format.plural(nKnown, "answer")} known before`}. No label was kept, and the same questions are not paid for again.
      </p>
    </div>
  );
}
