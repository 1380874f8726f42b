import { Link } from "@tanstack/react-router";
import { ArrowDown } from "lucide-react";
import { useState } from "react";

import type { Feature, TopToken } from "../../api/types";
import * as format from "../../lib/format";
import { tokenTerm } from "../../lib/terms";
import { TokenChip } from "../../parts/small";
import { Panel } from "./Panel";

const FEW = 10;
type Key = "n_fires" | "p_fire_given_token" | "max_activation";
const HEADS: [Key, string, string][] = [
  ["n_fires", "Of firings", "n_fires on the token / all firings of the feature: recall of the token as a detector"],
  ["p_fire_given_token", "Of its uses", "n_fires on the token / its occurrences in the corpus: precision of the token as a detector"],
  ["max_activation", "Max", "strongest activation on the token"],
];

function Bar({ share, text, tip }: { share: number | null; text: string; tip: string }) {
  return (
    <span className="num relative block rounded-sm px-1 text-right" data-tip={tip}>
      <i aria-hidden className="absolute inset-y-0.5 left-0 rounded-sm bg-data opacity-30" style={{ width: `${(share ?? 0) * 100}%` }} />
      <span className="relative">{text}</span>
    </span>
  );
}

/** The tokens it fires on, each as a detector of the feature: how much of it a token explains, and how surely. */
export function TopTokens({ feature }: { feature: Feature }) {
  const [key, setKey] = useState<Key>("n_fires");
  const [isAll, setAll] = useState(false);
  const sorted = feature.top_tokens.toSorted((a, b) => (b[key] ?? -1) - (a[key] ?? -1) || b.n_fires - a.n_fires);
  const shown = isAll ? sorted : sorted.slice(0, FEW);
  if (sorted.length === 0) return null;
  return (
    <Panel title="Tokens it fires on">
      <table className="w-full table-fixed text-xs">
        <thead>
          <tr className="border-b border-line">
            <th scope="col" className="eyebrow w-[34%] py-1 text-left font-semibold">Token</th>
            {HEADS.map(([name, text, tip]) => (
              <th key={name} scope="col" aria-sort={key === name ? "descending" : undefined} className="py-1 text-right">
                <button type="button" data-tip={tip} className={`eyebrow inline-flex items-center gap-0.5 hover:text-fg ${key === name ? "text-fg" : ""}`} onClick={() => setKey(name)}>
                  {text}{key === name && <ArrowDown size={10} aria-hidden />}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{shown.map((top) => <Row key={top.token_id} top={top} feature={feature} />)}</tbody>
      </table>
      {sorted.length > FEW && <button type="button" className="btn btn-quiet mt-1 -ml-2 text-xs" onClick={() => setAll(!isAll)}>{isAll ? "Fewer" : `All ${sorted.length}`}</button>}
    </Panel>
  );
}

function Row({ top, feature }: { top: TopToken; feature: Feature }) {
  return (
    <tr className="border-b border-line/60">
      <td className="py-[3px] pr-1">
        <Link to="/s/$sae/features" params={{ sae: feature.sae.uid }} search={{ run: String(feature.run.id), q: tokenTerm(top.token) }} title="Features that fire on this token" className="hover:underline">
          <TokenChip token={top.token} />
        </Link>
      </td>
      <td><Bar share={top.p_token_given_fire} text={format.percent(top.p_token_given_fire)} tip={`${format.whole(top.n_fires)} of ${format.whole(feature.n_fires)} firings are on this token`} /></td>
      <td><Bar share={top.p_fire_given_token} text={format.percent(top.p_fire_given_token)} tip={`it fires on ${format.whole(top.n_fires)} of the token's ${format.whole(top.n_occurrences)} counted occurrences; mean ${format.value(top.mean_activation)}`} /></td>
      <td className="num text-right">{format.value(top.max_activation)}</td>
    </tr>
  );
}
