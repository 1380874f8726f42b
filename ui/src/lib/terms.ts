/** Writing terms of the query language. Reading is the server's: it answers with parts, and this only puts text together. */
import type { QueryPart } from "../api/types";

/** Text in quotes, as the query language reads them. */
export function quoted(text: string): string {
  const escaped = text
    .replace(/[\\"]/g, (c) => `\\${c}`)
    .replaceAll("\n", "\\n")
    .replaceAll("\t", "\\t")
    .replaceAll("\r", "\\r");
  return `"${escaped}"`;
}

/** Tokens come with bytes inside of characters written \xf0 already; these must not be escaped again. */
export function tokenTerm(token: string): string {
  const bytes = token.split(/(\\x[0-9a-f]{2})/i);
  return `token:"${bytes.map((piece, i) => (i % 2 ? piece : quoted(piece).slice(1, -1))).join("")}"`;
}

export const categoryTerm = (path: string[]): string => `category:${quoted(path.join(" > "))}`;

/** A bound with no more digits than a brush can mean. */
export function bound(x: number): string {
  if (x === 0) return "0";
  const text = Number(x.toPrecision(3));
  const size = Math.abs(text);
  if (size >= 1e-3 && size < 1e6) return String(text);
  const [digits = "", power = "0"] = text.toExponential().split("e");
  return `${digits}e${Number(power)}`;
}

export const rangeTerm = (field: string, low: number | null, high: number | null): string =>
  `${field}:${low === null ? "" : bound(low)}..${high === null ? "" : bound(high)}`;

export const addTerm = (q: string, term: string): string => (q.trim() ? `${q.trim()} ${term}` : term);

/** Quotes that a value does not need come and go when the server prints a query. */
const same = (a: string, b: string): boolean => a.replaceAll('"', "").toLowerCase() === b.replaceAll('"', "").toLowerCase();

/** The part that says exactly this, if there is one. */
export const partOf = (parts: QueryPart[], term: string): QueryPart | undefined => parts.find((p) => same(p.text, term));

/** The first part that compares this field, under any of its names. */
export const partOn = (parts: QueryPart[], names: string[]): QueryPart | undefined =>
  parts.find((part) => names.some((name) => part.text.toLowerCase().startsWith(`${name}:`)));

export function toggleTerm(q: string, parts: QueryPart[], term: string): string {
  const part = partOf(parts, term);
  return part ? part.without.trim() : addTerm(q, term);
}

/** The query with its part on a field replaced; no term takes the part out. */
export function replaceTerm(q: string, parts: QueryPart[], names: string[], term: string | null): string {
  const part = partOn(parts, names);
  const rest = part ? part.without.trim() : q;
  return term === null ? rest.trim() : addTerm(rest, term);
}

/** The ends of a range part, for drawing the brush where the query already has one. */
export function readRange(part: QueryPart | undefined): [number, number] | null {
  const match = part?.text.match(/:(?:([\d.eE+-]*)\.\.([\d.eE+-]*)|(>=?|<=?)([\d.eE+-]+))$/);
  if (!match) return null;
  const [, low, high, operator, edge] = match;
  if (operator) return operator.startsWith(">") ? [Number(edge), Infinity] : [-Infinity, Number(edge)];
  return [low ? Number(low) : -Infinity, high ? Number(high) : Infinity];
}
