import { expect, it } from "vitest";

import { extractionCommand, extractionSpec, shellWord, USUAL } from "../src/lib/cli";
import { ago, brief, duration, frequency, percent, usd, value, visibleToken, whole } from "../src/lib/format";
import { featureSearch, featuresSearch, parseSearch, stringifySearch } from "../src/lib/search";
import { accept, suggest, wordAt } from "../src/lib/suggest";

it("writes numbers as people read them", () => {
  expect(whole(2_097_152)).toBe("2,097,152");
  expect([null, 999, 9_999, 12_345, 2_097_152, 3e9].map((n) => brief(n))).toEqual(["–", "999", "9,999", "12.3k", "2.1M", "3G"]);
  expect([0, 0.15166, 22.1583, 695.9, 1234.6, 4.2e-5, Number.NaN].map((x) => value(x))).toEqual(["0", "0.152", "22.2", "696", "1,235", "4.2e-5", "–"]);
  expect([0, 1, 0.18, 0.4262, 0.0041, 0.9999, 1e-6].map((x) => percent(x))).toEqual(["0 %", "100 %", "18.0 %", "42.6 %", "0.41 %", "> 99.9 %", "1e-4 %"]);
  expect([0, 1.4e-6, 0.004].map((x) => frequency(x))).toEqual(["0", "1.4e-6", "0.40 %"]);
  expect([5, 65, 3700, null, Infinity].map((s) => duration(s))).toEqual(["5 s", "1 min 05 s", "1 h 01 min", "–", "–"]);
  expect(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T02:00:00Z"))).toBe("2 h ago");
  expect(visibleToken("  a b\n")).toBe("␣␣a b⏎");
});

it("writes a command line and a spec that are the same", () => {
  const asked = { ...USUAL, model: "smollm2", sae: "/a b", text: ["x.txt", "it's"], tokens: 5000, ctx_len: 64 };
  expect(extractionCommand(asked)).toBe("featlas extract \\\n  --model smollm2 \\\n  --sae '/a b' \\\n  --text x.txt 'it'\\''s' \\\n  --tokens 5000 \\\n  --ctx-len 64");
  expect(extractionSpec(asked)).toEqual({ model: "smollm2", sae: "/a b", text: ["x.txt", "it's"], tokens: 5000, ctx_len: 64 });
  expect(extractionSpec({ ...USUAL, model: "m", sae: "s", text: ["t"] })).toEqual({ model: "m", sae: "s", text: ["t"] });
  expect(shellWord("hf:a/b:c@d")).toBe("hf:a/b:c@d");
});

it("keeps addresses short, and reads back what it wrote", () => {
  const q = 'token:" court" density:1e-4..1e-2 & 50% + "größer"';
  expect(parseSearch(stringifySearch({ q, at: 5, view: undefined }))).toEqual({ q, at: "5" });
  expect(stringifySearch({ q: "density:1e-4..1e-2 is:dead" })).toBe("?q=density:1e-4..1e-2+is:dead");
  expect(stringifySearch({})).toBe("");
  expect(featuresSearch({ q: " ", view: "table", at: "12", sort: "-score" })).toEqual({ run: undefined, q: undefined, sort: "-score", view: undefined, at: 12 });
  expect(featuresSearch({ at: "-1", view: "map" })).toMatchObject({ at: undefined, view: undefined });
  expect(featureSearch({ range: "full", scale: "linear", breaks: "yes" })).toMatchObject({ range: "full", scale: undefined, breaks: undefined });
});

it("suggests what fits the word under the cursor", () => {
  expect(suggest("is:de", 5).map((s) => s.insert)).toEqual(["is:dead", "is:dense"]);
  expect(suggest("-is:dea", 7).map((s) => s.insert)).toEqual(["is:dead"]);
  expect(suggest('token:"is:', 10)).toEqual([]);
  expect(suggest("mean", 4)[0]!.insert).toBe("mean_activation:");
  expect(wordAt("a -den", 6)).toEqual({ start: 3, word: "den" });
  expect(accept("court is:d", 10, { insert: "is:dead", hint: "" })).toEqual({ text: "court is:dead ", cursor: 14 });
  expect(accept("to is:dead", 2, { insert: 'token:" ', hint: "" })).toEqual({ text: 'token:"  is:dead', cursor: 8 });
});

it.each([[0, "$0"], [0.00026, "$0.00026"], [0.04, "$0.04"], [0.026492, "$0.026"], [0.1, "$0.10"], [12.3, "$12.30"], [1234.5, "$1,234.50"], [null, "–"]])("writes %s dollars as %s", (x, text) => expect(usd(x)).toBe(text));
