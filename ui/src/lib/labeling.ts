/** A labeling as the address has it, as a job's spec has it, and as the command line has it. */
import { shellWord } from "./cli";
import { index, oneOf, text } from "./search";

export const PROVIDERS = ["openai", "anthropic", "compatible", "lexical"] as const;
export type ProviderName = (typeof PROVIDERS)[number];

export type NumberField = { name: string; label: string; hint: string; kind: "whole" | "number"; usual?: number; unit?: string };

/** The numbers that a labeling takes, under their names in the spec. */
export const BUDGETS = [
  { name: "budget", label: "Most dollars", hint: "Stops before this much is spent; needs a known price.", kind: "number" },
  { name: "budget_tokens", label: "Most tokens", hint: "In and out together.", kind: "whole" },
] as const satisfies readonly NumberField[];

export const PACE = [
  { name: "concurrency", label: "Calls at the same time", hint: "1 to 256", kind: "whole", usual: 5 },
  { name: "requests_per_minute", label: "Calls a minute", hint: "Empty: no limit.", kind: "number" },
  { name: "tokens_per_minute", label: "Tokens a minute", hint: "In and out; empty: no limit.", kind: "number" },
  { name: "timeout_s", label: "Seconds for a call", hint: "Longer ones are given up.", kind: "number", usual: 60 },
  { name: "max_retries", label: "Retries", hint: "Of a call that may succeed later.", kind: "whole", usual: 5 },
] as const satisfies readonly NumberField[];

export const ANSWERS = [
  { name: "max_output_tokens", label: "Longest answer", hint: "In tokens; what is longer is cut off.", kind: "whole", usual: 300 },
  { name: "temperature", label: "Temperature", hint: "0 to 2; empty: the provider's own.", kind: "number" },
] as const satisfies readonly NumberField[];

export const PRICES = [
  { name: "price_in", label: "Price in", hint: "Dollars per million tokens asked.", kind: "number" },
  { name: "price_out", label: "Price out", hint: "Dollars per million tokens answered.", kind: "number" },
] as const satisfies readonly NumberField[];

const NUMBERS: readonly NumberField[] = [...BUDGETS, ...PACE, ...ANSWERS, ...PRICES];
export type NumberName = (typeof BUDGETS | typeof PACE | typeof ANSWERS | typeof PRICES)[number]["name"];

export type LabelSearch = Partial<Record<NumberName, string | undefined>> & {
  run?: string | undefined;
  q?: string | undefined;
  /** The empty query; without it and without q the features that have no label are meant. */
  all?: "1" | undefined;
  provider?: ProviderName | undefined;
  model?: string | undefined;
  template?: string | undefined;
  relabel?: "1" | undefined;
  rules?: "off" | undefined;
  answer_format?: "text" | undefined;
  retry_of?: number | undefined;
  /** The feature whose prompt is shown. */
  at?: number | undefined;
  /** The job of the last dry run. */
  dry?: number | undefined;
};

export const USUAL_QUERY = "is:unlabeled";
export const N_DRY = 5;

/** A number as somebody may type it; null for what is none. */
export function readNumber(typed: string, kind: NumberField["kind"]): number | null {
  const bare = typed.trim().replaceAll(/[ ,_](?=\d)/g, "");
  const isNumber = kind === "whole" ? /^\d{1,15}$/.test(bare) : /^(\d+\.?\d*|\.\d+)(e-?\d+)?$/i.test(bare);
  return isNumber ? Number(bare) : null;
}

const numberText = (x: unknown, { kind, usual }: NumberField): string | undefined => {
  const n = typeof x === "string" ? readNumber(x, kind) : null;
  return n === null || n === usual ? undefined : String(n);
};

export const labelSearch = (search: Record<string, unknown>): LabelSearch => ({
  run: text(search["run"]),
  q: text(search["q"]) === USUAL_QUERY ? undefined : text(search["q"]),
  all: search["all"] === "1" && !text(search["q"]) ? "1" : undefined,
  provider: PROVIDERS.find((name) => name === search["provider"]),
  model: text(search["model"]),
  template: text(search["template"]),
  relabel: search["relabel"] === "1" ? "1" : undefined,
  rules: search["rules"] === "off" ? "off" : undefined,
  answer_format: oneOf(search["answer_format"], ["schema", "text"], "schema") as "text" | undefined,
  retry_of: index(search["retry_of"]) || undefined,
  at: index(search["at"]),
  dry: index(search["dry"]) || undefined,
  ...Object.fromEntries(NUMBERS.map((field) => [field.name, numberText(search[field.name], field)])),
});

export const queryOf = (search: LabelSearch): string => search.q ?? (search.all ? "" : USUAL_QUERY);

/** What a new query changes in the address. */
export const searchOfQuery = (q: string): Pick<LabelSearch, "q" | "all"> => ({ q: q || undefined, all: q ? undefined : "1" });

/** The job's spec: what equals the default is left out, as on the command line. */
export function labelingSpec(search: LabelSearch, run: string | number, provider: ProviderName): Record<string, unknown> {
  const spec: Record<string, unknown> = { run: String(run), provider };
  const q = queryOf(search);
  if (q) spec["query"] = q;
  if (search.rules) spec["rules"] = false;
  if (provider === "lexical") return spec;
  if (search.model) spec["model"] = search.model;
  if (search.template) spec["template"] = search.template;
  if (search.relabel) spec["relabel"] = true;
  if (search.retry_of) spec["retry_of"] = search.retry_of;
  if (search.answer_format) spec["answer_format"] = search.answer_format;
  for (const { name } of NUMBERS) {
    const typed = search[name as NumberName];
    if (typed !== undefined) spec[name] = Number(typed);
  }
  // Prices belong together; while one is typed the other is still to come.
  if (spec["price_in"] === undefined || spec["price_out"] === undefined) {
    delete spec["price_in"];
    delete spec["price_out"];
  }
  return spec;
}

/** The address that has the choices of a job: to ask again with changes, or for what it left. */
export function searchOfSpec(spec: Record<string, unknown>, run: string | undefined, retryOf?: number): LabelSearch {
  const filled = Object.fromEntries(Object.entries(spec).map(([name, x]) => [name, typeof x === "number" ? String(x) : x]));
  const q = typeof spec["query"] === "string" ? spec["query"] : "";
  return labelSearch({
    ...filled,
    ...searchOfQuery(q),
    run,
    relabel: spec["relabel"] === true ? "1" : undefined,
    rules: spec["rules"] === false ? "off" : undefined,
    retry_of: retryOf ?? spec["retry_of"],
    all: q ? undefined : "1",
    dry: undefined,
  });
}

/** The command that does what the page does. */
export function labelCommand(spec: Record<string, unknown>): string {
  const { run, query, rules, relabel, ...options } = spec;
  const words = [`featlas label ${shellWord(String(run))}`];
  if (query) words.push(`--query ${shellWord(String(query))}`);
  if (rules === false) words.push("--no-rules");
  if (relabel === true) words.push("--relabel");
  for (const [name, x] of Object.entries(options)) words.push(`--${name.replaceAll("_", "-")} ${shellWord(String(x))}`);
  return words.join(" \\\n  ");
}
