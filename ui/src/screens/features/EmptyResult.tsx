import { useQuery } from "@tanstack/react-query";

import { facetsQuery, type ListQuery } from "../../api/queries";
import type { QueryPart } from "../../api/types";
import { plural, whole } from "../../lib/format";
import { addTerm, tokenTerm } from "../../lib/terms";
import { Empty } from "../../parts/states";

/** Says which condition left nothing over, and takes it out with one click. */
export function EmptyResult({ list, parts, onChange }: { list: ListQuery; parts: QueryPart[]; onChange: (q: string) => void }) {
  const facets = useQuery(facetsQuery(list));
  const without = facets.data && !facets.isPlaceholderData ? facets.data.without : [];
  const ranked = parts.map((part, i) => ({ part, n: without[i] ?? 0 })).toSorted((a, b) => b.n - a.n);
  const bare = parts.filter((part) => /^[^\s:"()-][^\s:"()]*$/.test(part.text));
  return (
    <Empty title="No feature matches all of it">
      {parts.length === 0 && <p>This run has no features yet; they appear while it goes on.</p>}
      {ranked.length > 0 && (
        <>
          <p>{(ranked[0]?.n ?? 0) > 0 ? "Taking out one condition leaves:" : "No single condition is to blame; start again with one of them."}</p>
          <ul className="mt-3 inline-flex flex-col gap-1.5 text-left">
            {ranked.map(({ part, n }) => (
              <li key={part.start}>
                <button type="button" className="btn w-full justify-between gap-6" onClick={() => onChange(part.without.trim())}>
                  <span>drop <code className="text-xs">{part.text}</code></span>
                  <span className="num text-muted" title={plural(n, "feature")}>→ {whole(n)}</span>
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      {bare.length > 0 && (
        <div className="mt-5">
          <p>Plain words search labels. To find features that fire on a token:</p>
          <p className="mt-2 flex flex-wrap justify-center gap-1.5">
            {bare.flatMap((part) => [` ${part.text}`, part.text].map((token) => (
              <button key={token} type="button" className="btn" onClick={() => onChange(addTerm(part.without, tokenTerm(token)))}><code className="text-xs">{tokenTerm(token)}</code></button>
            )))}
          </p>
        </div>
      )}
      {parts.length > 1 && <p className="mt-3"><button type="button" className="btn" onClick={() => onChange("")}>Show all features</button></p>}
    </Empty>
  );
}
