/** The part of an address after "?", as plain text: readable, short, and checked by each route. */
import { SCALES, type Scale } from "./segments";

export type Search = Record<string, string | undefined>;

export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text));
}

/** Colons, commas, dots and the like are legal in a query and far easier to read unescaped. */
const escape = (x: string): string =>
  encodeURIComponent(x)
    .replace(/%(3A|2C|2F|3D|40|24|21|2A|7E)/gi, (code) => decodeURIComponent(code))
    .replaceAll("%20", "+");

export function stringifySearch(search: Record<string, unknown>): string {
  const pairs = Object.entries(search).filter(([, x]) => x !== undefined && x !== null && x !== "");
  return pairs.length ? `?${pairs.map(([name, x]) => `${name}=${escape(String(x))}`).join("&")}` : "";
}

export const text = (x: unknown): string | undefined => (typeof x === "string" && x.trim() !== "" ? x : undefined);

export function oneOf<T extends string>(x: unknown, allowed: readonly T[], usual: T): T | undefined {
  return allowed.includes(x as T) && x !== usual ? (x as T) : undefined;
}

export function index(x: unknown): number | undefined {
  const n = typeof x === "string" && /^\d{1,9}$/.test(x) ? Number(x) : typeof x === "number" ? x : Number.NaN;
  return Number.isInteger(n) && n >= 0 ? n : undefined;
}

export type FeaturesSearch = {
  run?: string | undefined;
  q?: string | undefined;
  sort?: string | undefined;
  view?: "cards" | undefined;
  at?: number | undefined;
};

export const featuresSearch = (search: Record<string, unknown>): FeaturesSearch => ({
  run: text(search["run"]),
  q: text(search["q"]),
  sort: text(search["sort"]),
  view: oneOf(search["view"], ["table", "cards"], "table") as "cards" | undefined,
  at: index(search["at"]),
});

export const RANGES = ["stacked", "snippet", "full"] as const;
export type Reach = (typeof RANGES)[number];

export type FeatureSearch = {
  run?: string | undefined;
  q?: string | undefined;
  sort?: string | undefined;
  band?: string | undefined;
  range?: Reach | undefined;
  scale?: Scale | undefined;
  breaks?: "1" | undefined;
};

export const featureSearch = (search: Record<string, unknown>): FeatureSearch => ({
  run: text(search["run"]),
  q: text(search["q"]),
  sort: text(search["sort"]),
  band: text(search["band"]),
  range: oneOf(search["range"], RANGES, "snippet"),
  scale: oneOf(search["scale"], SCALES, "linear"),
  breaks: search["breaks"] === "1" ? "1" : undefined,
});

export const ORDERS = ["doubt", "query"] as const;

export type ReviewSearch = {
  run?: string | undefined;
  q?: string | undefined;
  order?: "query" | undefined;
  at?: number | undefined;
  range?: Reach | undefined;
  scale?: Scale | undefined;
  breaks?: "1" | undefined;
};

export const reviewSearch = (search: Record<string, unknown>): ReviewSearch => ({
  run: text(search["run"]),
  q: text(search["q"]),
  order: oneOf(search["order"], ORDERS, "doubt") as "query" | undefined,
  at: index(search["at"]),
  range: oneOf(search["range"], RANGES, "snippet"),
  scale: oneOf(search["scale"], SCALES, "linear"),
  breaks: search["breaks"] === "1" ? "1" : undefined,
});

export type CompareSearch = { a?: number | undefined; b?: number | undefined; which?: "same" | "all" | undefined };

export const compareSearch = (search: Record<string, unknown>): CompareSearch => ({
  a: index(search["a"]) || undefined,
  b: index(search["b"]) || undefined,
  which: oneOf(search["which"], ["different", "same", "all"], "different") as "same" | "all" | undefined,
});

/** The run and the feature that a template is shown on, and the versions that are compared. */
export type TemplateSearch = { run?: string | undefined; at?: number | undefined; from?: number | undefined; to?: number | undefined };

export const templateSearch = (search: Record<string, unknown>): TemplateSearch => ({
  run: text(search["run"]),
  at: index(search["at"]),
  from: index(search["from"]) || undefined,
  to: index(search["to"]) || undefined,
});
