/** What is wrong with a label's text, by code, in words: the codes are those of the store. */
const LINT: Record<string, string> = {
  empty: "there is no text",
  echo: "repeats the question instead of answering it",
  reasoning: "a model thinking aloud",
  too_long: "more than 8 words or 80 characters",
  markup: "holds markup, JSON or several lines",
  no_pattern: "says that there is no pattern, which is no label",
  repeated: "many features of the SAE have the same text",
};

export const lintText = (code: string): string => `${code.replaceAll("_", " ")}${LINT[code] ? `: ${LINT[code]}` : ""}`;

export const LINT_CODES = Object.keys(LINT);
