import type { FeatureRow } from "../../api/types";
import { percent } from "../../lib/format";
import { MiniHistogram } from "../../parts/MiniHistogram";
import { Flag, ReviewGlyph, SourceGlyph, TokenChip } from "../../parts/small";
import { Snippet } from "../../parts/TokenText";

/** The label in force with where it comes from, or, without one, the tokens that speak for the feature. */
export function RowLabel({ row, lines = 1 }: { row: FeatureRow; lines?: 1 | 2 }) {
  if (!row.label) return <RowTokens row={row} strong />;
  return (
    <>
      <span className="flex min-w-0 items-center gap-1.5">
        <SourceGlyph source={row.label.source} />
        <span className={`min-w-0 font-medium ${lines === 1 ? "truncate" : "line-clamp-2"}`} title={row.label.semantic_label}>{row.label.semantic_label}</span>
        <ReviewGlyph state={row.label.review_state} />
      </span>
      {row.label.category_label && <span className="truncate text-xs text-muted">{row.label.category_label}</span>}
    </>
  );
}

export function RowTokens({ row, strong = false }: { row: FeatureRow; strong?: boolean }) {
  if (row.top_tokens.length === 0) return <span className="text-sm text-muted">{row.flags.includes("dead") ? "never fires" : "no tokens"}</span>;
  return (
    <span className="flex min-w-0 items-center gap-1 overflow-hidden">
      {row.top_tokens.slice(0, 3).map(({ token, p_token_given_fire }, i) => (
        <TokenChip key={`${token}${i}`} token={token}>{strong && p_token_given_fire >= 0.1 && <span className="num shrink-0 text-[10.5px] whitespace-nowrap text-muted">{percent(p_token_given_fire)}</span>}</TokenChip>
      ))}
    </span>
  );
}

export function RowFlags({ row }: { row: FeatureRow }) {
  return <span className="flex flex-wrap gap-1">{row.flags.map((flag) => <Flag key={flag} name={flag} tip={false} />)}</span>;
}

export function RowHistogram({ row, width, height }: { row: FeatureRow; width?: number; height?: number }) {
  if (row.histogram.counts.length === 0) return null;
  return <MiniHistogram counts={row.histogram.counts} label={`Activations of feature ${row.feature_index}`} {...(width ? { width } : {})} {...(height ? { height } : {})} />;
}

export function RowSnippet({ row, line = true }: { row: FeatureRow; line?: boolean }) {
  if (!row.snippet) return null;
  return <Snippet content={row.snippet} max={row.max_activation ?? 0} line={line} still before={line ? 6 : 10} after={line ? 14 : 10} />;
}
