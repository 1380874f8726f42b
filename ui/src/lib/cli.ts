/** Command lines that do what a form does. */

/** A word as a shell reads it. */
export const shellWord = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

export type Extraction = {
  model: string;
  sae: string;
  text: string[];
  hook_point: string;
  tokens: number | null;
  ctx_len: number;
  name: string;
};

export const USUAL: Extraction = { model: "", sae: "", text: [], hook_point: "", tokens: null, ctx_len: 128, name: "" };

/** The job's spec: what equals the default is left out, as on the command line. */
export function extractionSpec(e: Extraction): Record<string, unknown> {
  const spec: Record<string, unknown> = { model: e.model, sae: e.sae, text: e.text };
  if (e.hook_point) spec["hook_point"] = e.hook_point;
  if (e.tokens !== null) spec["tokens"] = e.tokens;
  if (e.ctx_len !== USUAL.ctx_len) spec["ctx_len"] = e.ctx_len;
  if (e.name) spec["name"] = e.name;
  return spec;
}

export function extractionCommand(e: Extraction): string {
  const words = ["featlas extract", `--model ${shellWord(e.model || "MODEL")}`, `--sae ${shellWord(e.sae || "FOLDER")}`];
  words.push(`--text ${(e.text.length ? e.text : ["TEXTS"]).map(shellWord).join(" ")}`);
  if (e.hook_point) words.push(`--hook-point ${shellWord(e.hook_point)}`);
  if (e.tokens !== null) words.push(`--tokens ${e.tokens}`);
  if (e.ctx_len !== USUAL.ctx_len) words.push(`--ctx-len ${e.ctx_len}`);
  if (e.name) words.push(`--name ${shellWord(e.name)}`);
  return words.join(" \\\n  ");
}
