import type { Feature } from "../../api/types";
import * as format from "../../lib/format";
import { MiniHistogram } from "../../parts/MiniHistogram";
import { Num, TokenChip } from "../../parts/small";
import { Silence } from "../feature/StatCards";

const MOST_TOKENS = 12;

/** A feature's figures in a line, and the tokens that it fires on: what there is to know before the examples. */
export function ShortFacts({ feature: f }: { feature: Feature }) {
  if (f.n_fires === 0) return <Silence feature={f} />;
  return (
    <section aria-label="Figures" className="card space-y-2 px-3 py-2.5">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1 text-sm">
        <MiniHistogram counts={f.histogram.counts} label={`Activations of feature ${f.feature_index}`} width={88} height={22} />
        <Num tip={`${format.whole(f.n_fires)} of ${format.whole(f.n_tokens)} counted positions`}>fires on <b className="font-semibold">{format.frequency(f.activation_frequency)}</b></Num>
        <Num tip={`${format.whole(f.n_documents_fired)} of ${format.whole(f.n_documents)} documents, ${format.whole(f.n_contexts_fired)} of ${format.whole(f.n_contexts)} contexts`}>in <b className="font-semibold">{format.percent(f.n_documents ? f.n_documents_fired / f.n_documents : null)}</b> of documents</Num>
        <Num tip={`Largest of ${format.whole(f.n_fires)} activations; their mean is ${format.value(f.mean_activation)}`}>max <b className="font-semibold">{format.value(f.max_activation)}</b></Num>
      </div>
      {f.top_tokens.length > 0 && (
        <ul className="flex flex-wrap gap-1" aria-label="Tokens it fires on">
          {f.top_tokens.slice(0, MOST_TOKENS).map((top) => (
            <li key={top.token_id} tabIndex={0} data-tip={`${format.percent(top.p_token_given_fire)} of its firings are on this token; it fires on ${format.percent(top.p_fire_given_token)} of the token's ${format.whole(top.n_occurrences)} occurrences`}>
              <TokenChip token={top.token}><span className="num shrink-0 text-[10.5px] whitespace-nowrap text-muted">{format.percent(top.p_token_given_fire)}</span></TokenChip>
            </li>
          ))}
          {f.top_tokens.length > MOST_TOKENS && <li className="num text-xs text-muted">and {f.top_tokens.length - MOST_TOKENS} more</li>}
        </ul>
      )}
    </section>
  );
}
