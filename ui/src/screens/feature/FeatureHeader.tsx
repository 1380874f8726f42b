import { Link } from "@tanstack/react-router";
import { ChevronLeft, ChevronRight, Copy as CopyIcon } from "lucide-react";

import type { Feature } from "../../api/types";
import { whole } from "../../lib/format";
import type { FeatureSearch } from "../../lib/search";
import { copyText } from "../../parts/Copy";
import { Menu } from "../../parts/Menu";
import { Flag, ReviewGlyph, SourceGlyph, TokenChip } from "../../parts/small";
import type { Walk } from "./useWalk";

type Props = { feature: Feature; search: FeatureSearch; walk: Walk | null; onGo: (index: number | undefined) => void };

export function FeatureHeader({ feature, search, walk, onGo }: Props) {
  const label = feature.labels.current;
  return (
    <header className="sticky top-0 z-20 border-b border-line bg-surface px-4 py-2.5 sm:px-6">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
        <div className="min-w-0 flex-1 basis-64">
          <div className="flex min-w-0 items-baseline gap-2.5">
            <span className="num shrink-0 font-mono text-sm text-muted">#{feature.feature_index}</span>
            <h1 className="min-w-0 text-lg leading-snug [overflow-wrap:anywhere]">
              {label?.semantic_label ?? <Unlabeled feature={feature} />}
            </h1>
          </div>
          <p className="flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-muted">
            {label && <span className="flex items-center gap-1"><SourceGlyph source={label.source} /><ReviewGlyph state={label.review_state} /></span>}
            {label?.category_label && <span>{label.category_label}</span>}
            {feature.flags.map((flag) => <Flag key={flag} name={flag} />)}
            {feature.duplicate_of !== null && <span>fires exactly where <Link className="underline" to="/s/$sae/f/$index" params={{ sae: feature.sae.uid, index: String(feature.duplicate_of) }} search={search}>#{feature.duplicate_of}</Link></span>}
            <span className="truncate max-sm:hidden">{feature.run.model} · {feature.run.hook_point} · {feature.run.corpus}</span>
          </p>
        </div>
        <WalkButtons feature={feature} search={search} walk={walk} onGo={onGo} />
        <CopyMenu feature={feature} />
      </div>
    </header>
  );
}

function Unlabeled({ feature }: { feature: Feature }) {
  if (feature.top_tokens.length === 0) return <span className="text-muted">unlabeled</span>;
  return (
    <span className="inline-flex flex-wrap items-center gap-1.5">
      <span className="font-normal text-muted">unlabeled</span>
      {feature.top_tokens.slice(0, 3).map((top) => <TokenChip key={top.token_id} token={top.token} />)}
    </span>
  );
}

function WalkButtons({ feature, search, walk, onGo }: Props) {
  const place = walk && walk.place >= 0 ? `${whole(walk.place + 1)} of ${whole(walk.n)}` : walk ? `not among ${whole(walk.n)}` : "…";
  return (
    <div className="flex items-center gap-1">
      <Link
        className="num max-w-64 truncate rounded px-1.5 text-sm text-muted hover:text-fg hover:underline" title={`Back to the list (Esc)${search.q ? `: ${search.q}` : ""}`}
        to="/s/$sae/features" params={{ sae: feature.sae.uid }} search={{ run: search.run, q: search.q, sort: search.sort, at: feature.feature_index }}
      >
        {place}{search.q ? <> for <code className="text-xs">{search.q}</code></> : " features"}
      </Link>
      <button type="button" className="btn px-1.5" disabled={walk?.before === undefined} onClick={() => onGo(walk?.before)} aria-label="Previous in the result set" title="Previous (p)"><ChevronLeft size={16} aria-hidden /></button>
      <button type="button" className="btn px-1.5" disabled={walk?.after === undefined} onClick={() => onGo(walk?.after)} aria-label="Next in the result set" title="Next (n)"><ChevronRight size={16} aria-hidden /></button>
    </div>
  );
}

function CopyMenu({ feature }: { feature: Feature }) {
  return (
    <Menu
      label="Copy as" trigger={<><CopyIcon size={14} aria-hidden /><span className="max-sm:hidden">Copy</span></>}
      items={[
        { key: "md", label: "Markdown", run: () => void copyText(feature.markdown) },
        { key: "json", label: "JSON", run: () => void copyText(JSON.stringify(feature, null, 2)) },
        { key: "cli", label: "Command line", run: () => void copyText(feature.cli) },
        { key: "link", label: "Link", hint: "y", run: () => void copyText(location.href) },
      ]}
    />
  );
}
