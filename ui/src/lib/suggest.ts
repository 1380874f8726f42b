/** What can be typed next in a query: a fixed list of the language's words, matched against the word being typed. */

export type Suggestion = { insert: string; hint: string };

const NUMBERS: [string, string][] = [
  ["density", "share of tokens it fires on (activation_frequency)"],
  ["max_activation", "largest activation"],
  ["mean_activation", "mean over firings"],
  ["std_activation", "standard deviation over firings"],
  ["n_fires", "tokens it fires on"],
  ["n_documents_fired", "documents it fires in"],
  ["n_contexts_fired", "contexts it fires in"],
  ["context_frequency", "share of contexts it fires in"],
  ["score", "score of its label"],
  ["feature_index", "number of the feature"],
  ["n_fires_excluded", "excluded positions it fires on"],
  ["max_excluded", "largest activation there"],
];

const STATES: [string, string][] = [
  ["dead", "never fires"],
  ["dense", "fires on more than 10 % of tokens"],
  ["sink_only", "fires at excluded positions only"],
  ["duplicate", "fires exactly where an earlier one does"],
  ["labeled", "has a label"],
  ["unlabeled", "has none"],
  ["human", "label by a person"],
  ["machine", "label by a program"],
  ["imported", "label from elsewhere"],
  ["unreviewed", "label nobody judged"],
  ["accepted", "label accepted"],
  ["rejected", "label rejected"],
  ["linted", "label flagged by the linter"],
  ["stale", "label of an older wording of its template"],
  ["failed", "no answer of a language model could be used"],
  ["favorite", "marked by somebody"],
  ["null", "random directions, as a control"],
];

export const SORTS: [string, string][] = [
  ["-activation_frequency", "Most frequent"],
  ["activation_frequency", "Rarest"],
  ["-max_activation", "Strongest maximum"],
  ["max_activation", "Weakest maximum"],
  ["-mean_activation", "Strongest mean"],
  ["-std_activation", "Most varied"],
  ["-n_documents_fired", "Most documents"],
  ["n_documents_fired", "Fewest documents"],
  ["-context_frequency", "Most contexts"],
  ["-score", "Best label score"],
  ["score", "Worst label score"],
  ["feature_index", "Index"],
];

export const ALL: Suggestion[] = [
  { insert: 'token:" ', hint: 'fires on exactly this token, as in token:" court"' },
  { insert: 'label:"', hint: "label or category contains" },
  { insert: 'category:"', hint: 'category at or below, as in "Language > Syntax"' },
  ...STATES.map(([state, hint]) => ({ insert: `is:${state}`, hint })),
  ...NUMBERS.map(([field, hint]) => ({ insert: `${field}:`, hint: `${hint}; as in ${field}:>=0.1 or ${field}:1e-4..1e-2` })),
  { insert: "has:label", hint: "has a label" },
  { insert: "has:category", hint: "has a category" },
  { insert: "has:score", hint: "its label has a score" },
  ...SORTS.map(([key, hint]) => ({ insert: `sort:${key}`, hint: hint.toLowerCase() })),
  { insert: "OR", hint: "either side" },
];

/** The word under the cursor: from the last space to it; a leading dash negates and stays. */
export function wordAt(text: string, cursor: number): { start: number; word: string } {
  const start = text.slice(0, cursor).search(/[^\s(]*$/);
  const word = text.slice(start, cursor);
  return word.startsWith("-") ? { start: start + 1, word: word.slice(1) } : { start, word };
}

export function suggest(text: string, cursor: number, most = 9): Suggestion[] {
  const before = text.slice(0, cursor);
  if ((before.match(/"/g)?.length ?? 0) % 2 === 1) return []; // inside quotes anything goes
  const { word } = wordAt(text, cursor);
  const typed = word.toLowerCase();
  if (!typed) return ALL.filter((s) => /^(token|label|category|density:|max_activation:|is:(dead|dense|labeled|unlabeled))/.test(s.insert)).slice(0, most);
  const starts = ALL.filter((s) => s.insert.toLowerCase().startsWith(typed) && s.insert.toLowerCase() !== typed);
  const holds = typed.length >= 2 && !typed.includes(":") ? ALL.filter((s) => !starts.includes(s) && s.insert.toLowerCase().includes(typed)) : [];
  return [...starts, ...holds].slice(0, most);
}

export function accept(text: string, cursor: number, suggestion: Suggestion): { text: string; cursor: number } {
  const { start } = wordAt(text, cursor);
  const after = text.slice(cursor);
  const isOpen = /[:"( ]$/.test(suggestion.insert);
  const insert = isOpen || after.startsWith(" ") ? suggestion.insert : `${suggestion.insert} `;
  return { text: text.slice(0, start) + insert + after, cursor: start + insert.length };
}
