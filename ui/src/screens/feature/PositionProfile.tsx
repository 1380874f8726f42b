import type { Feature } from "../../api/types";
import * as format from "../../lib/format";
import { Panel } from "./Panel";

/** Firings by position in the context: a feature of the first token shows here. Rates where the run kept the totals. */
export function PositionProfile({ feature }: { feature: Feature }) {
  const buckets = feature.position_profile;
  if (buckets.length === 0) return null;
  const hasRates = buckets.every((bucket) => bucket.n_tokens !== null);
  const heights = buckets.map((b) => (hasRates ? (b.n_tokens ? b.n_fires / b.n_tokens : 0) : b.n_fires / (b.last - b.first + 1)));
  const most = Math.max(...heights, Number.MIN_VALUE);
  return (
    <Panel title="Position in the context" aside={hasRates ? "share of tokens there" : "firings per position"}>
      <div className="flex h-20 items-end gap-1" role="img" aria-label={`Firings by position: ${buckets.map((b) => `${b.first} to ${b.last}: ${b.n_fires}`).join(", ")}`}>
        {buckets.map((b, i) => (
          <div
            key={b.first} className="flex h-full flex-1 flex-col justify-end"
            data-tip={`Positions ${b.first === b.last ? b.first : `${b.first} – ${b.last}`}: ${format.whole(b.n_fires)} firings${b.n_tokens === null ? "" : ` on ${format.whole(b.n_tokens)} tokens, ${format.percent(b.n_tokens ? b.n_fires / b.n_tokens : 0)}`}`}
          >
            <i className="block rounded-t-sm bg-data" style={{ height: b.n_fires ? `max(2px, ${((heights[i] ?? 0) / most) * 62}px)` : 0 }} />
            <span className="num block border-t border-edge text-center text-[10.5px] text-muted">{b.first}</span>
          </div>
        ))}
      </div>
    </Panel>
  );
}
