import { useQuery } from "@tanstack/react-query";
import { Check } from "lucide-react";
import type { ReactNode } from "react";

import { facetsQuery, type ListQuery } from "../../api/queries";
import type { Facets, QueryPart } from "../../api/types";
import { whole, words } from "../../lib/format";
import { categoryTerm, partOf, toggleTerm } from "../../lib/terms";
import { useLate } from "../../lib/useLate";
import { Bones } from "../../parts/states";

/** `isWaiting`: the list itself is still to come, and goes first. */
type Props = { list: ListQuery; parts: QueryPart[]; isWaiting: boolean; onChange: (q: string) => void };
type Entry = { term: string; label: ReactNode; n: number; depth?: number };

/** Counts of all matches by category, source, review and flag; a click adds the condition or takes it out. */
export function FacetPanel({ list, parts, isWaiting, onChange }: Props) {
  const query = useQuery({ ...facetsQuery(list), enabled: !isWaiting });
  const facets = query.data;
  const isPale = useLate(query.isPlaceholderData);
  // The list beside it tells what is wrong, once.
  if (!facets) return query.isError ? null : <Bones rows={9} />;
  const toggle = (term: string) => onChange(toggleTerm(list.q ?? "", parts, term));
  return (
    <div className={isPale ? "stale" : ""}>
      {sections(facets, parts).map(([title, entries]) => entries.length > 0 && (
        <section key={title} className="mb-4">
          <h2 className="eyebrow mb-0.5 px-2">{title}</h2>
          <ul>
            {entries.map((entry) => <FacetEntry key={entry.term} entry={entry} isOn={partOf(parts, entry.term) !== undefined} most={facets.n_matches} onToggle={toggle} />)}
          </ul>
        </section>
      ))}
    </div>
  );
}

function FacetEntry({ entry, isOn, most, onToggle }: { entry: Entry; isOn: boolean; most: number; onToggle: (term: string) => void }) {
  return (
    <li>
      <button
        type="button" aria-pressed={isOn} title={isOn ? `Take out ${entry.term}` : `Add ${entry.term}`} onClick={() => onToggle(entry.term)}
        className={`relative flex w-full items-center gap-1.5 rounded-md px-2 py-[3px] text-left text-sm hover:bg-raised ${isOn ? "bg-data-wash font-medium" : ""}`}
        style={{ paddingLeft: 8 + (entry.depth ?? 0) * 12 }}
      >
        {isOn && <Check size={12} className="shrink-0 text-data-text" aria-hidden />}
        <span className="min-w-0 flex-1 truncate">{entry.label}</span>
        <span className="num text-xs text-muted">{whole(entry.n)}</span>
        {entry.n > most / 50 && <i aria-hidden className="absolute bottom-0 left-2 h-[2px] rounded-full bg-data opacity-50" style={{ width: `calc((100% - 16px) * ${most ? entry.n / most : 0})` }} />}
      </button>
    </li>
  );
}

const FLAGS = ["dead", "dense", "sink_only", "duplicate", "null"];
const MACHINES = ["llm", "rule", "lexical"];

function sections(facets: Facets, parts: QueryPart[]): [string, Entry[]][] {
  const shown = (entries: Entry[]) => entries.filter((entry) => entry.n > 0 || partOf(parts, entry.term));
  const { n_matches: n, n_labeled: labeled, sources } = facets;
  const machine = MACHINES.filter((name) => sources[name]);
  const nMachine = machine.reduce((sum, name) => sum + (sources[name] ?? 0), 0);
  return [
    ["Label", shown([
      { term: "is:labeled", label: "Labeled", n: labeled },
      { term: "is:unlabeled", label: "Unlabeled", n: n - labeled },
    ])],
    ["Source", shown([
      { term: "is:human", label: "A person", n: sources["human"] ?? 0 },
      { term: "is:machine", label: machine.length ? `A program (${machine.join(", ")})` : "A program", n: nMachine },
      { term: "is:imported", label: "Imported", n: sources["imported"] ?? 0 },
    ])],
    ["Review", shown(["unreviewed", "accepted", "rejected"].map((state) => ({ term: `is:${state}`, label: words(state[0]!.toUpperCase() + state.slice(1)), n: facets.reviews[state] ?? 0 })))],
    ["Flags", shown(FLAGS.map((flag) => ({ term: `is:${flag}`, label: words(flag[0]!.toUpperCase() + flag.slice(1)), n: facets.flags[flag] ?? 0 })))],
    ["Category", tree(facets).map(({ path, n: count }) => ({ term: categoryTerm(path), label: path.at(-1), n: count, depth: path.length - 1 }))],
  ];
}

/** Parents before their children, big ones first on every level. */
function tree(facets: Facets): Facets["categories"] {
  const size = new Map(facets.categories.map(({ path, n }) => [path.join("\0"), n]));
  const key = (path: string[]) => path.map((_, i) => `${String(1e9 - (size.get(path.slice(0, i + 1).join("\0")) ?? 0)).padStart(10, "0")}${path[i]}`).join("\0");
  return [...facets.categories].toSorted((a, b) => (key(a.path) < key(b.path) ? -1 : 1));
}
