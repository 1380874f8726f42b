import { describe, expect, it } from "vitest";

import type { PromptEvidence } from "../src/api/types";
import { diffLines, hunks } from "../src/lib/diff";
import { changesOf, cutVariables, sameDraft, type Draft } from "../src/lib/wording";

const show = (before: string, after: string): string => diffLines(before, after).map(({ kind, text }) => ({ same: " ", gone: "-", new: "+" })[kind] + text).join("\n");

const pick = (n: number): string => Array.from({ length: n }, (_, i) => "abc"[(i * 7 + n * n) % 3]!).join("\n");

describe("a diff", () => {
  it("keeps what is shared, in its place", () => {
    expect(show("a\nb\nc\nd", "a\nx\nc\nd\ne")).toBe(" a\n-b\n+x\n c\n d\n+e");
    expect(show("a\nb", "a\nb")).toBe(" a\n b");
    expect(show("", "a")).toBe("-\n+a");
    expect(show("a\na\nb", "a\nb")).toBe(" a\n-a\n b");
  });
  it("numbers lines on both sides", () => {
    expect(diffLines("a\nb", "b").map(({ kind, before, after }) => [kind, before, after])).toEqual([["gone", 1, null], ["same", 2, 1]]);
  });
  it("gives back both texts, whatever they are", () => {
    for (let n = 1; n < 14; n++) {
      for (let m = 1; m < 14; m++) {
        const lines = diffLines(pick(n), pick(m));
        expect(lines.filter(({ kind }) => kind !== "new").map(({ text }) => text).join("\n")).toBe(pick(n));
        expect(lines.filter(({ kind }) => kind !== "gone").map(({ text }) => text).join("\n")).toBe(pick(m));
      }
    }
  });
  it("shows changes with some lines around them, and says how many are left out", () => {
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`);
    const found = hunks(diffLines(lines.join("\n"), lines.with(10, "other").join("\n")));
    expect(found.map(({ lines: shown, nSkipped }) => [nSkipped, shown.length])).toEqual([[8, 6], [7, 0]]);
    expect(hunks(diffLines("a", "a"))).toEqual([]);
  });
});

describe("variables", () => {
  it("are cut out of a text, which stays whole", () => {
    const text = "a {tokens} b {nonsense} {Tokens} {{x}} { tokens }";
    const pieces = cutVariables(text, new Set(["tokens"]));
    expect(pieces.map((piece) => piece.text).join("")).toBe(text);
    expect(pieces.filter(({ kind }) => kind === "known").map((piece) => piece.text)).toEqual(["{tokens}"]);
    expect(pieces.filter(({ kind }) => kind === "unknown").map((piece) => piece.text)).toEqual(["{nonsense}", "{x}"]);
  });
});

describe("a draft", () => {
  const evidence: PromptEvidence = { n_top: 6, n_spread: 10, n_near_misses: 4, n_non_firing: 4, n_tokens: 15, n_logits: 10, window: 40 };
  const base: Draft = { name: "mine", description: "", wording: { system_text: "s", user_text: "u", evidence } };
  it("is the same however its numbers are ordered and its name is spaced", () => {
    const turned = Object.fromEntries(Object.entries(evidence).toReversed()) as PromptEvidence;
    expect(sameDraft({ ...base, name: " mine ", wording: { ...base.wording, evidence: turned } }, base)).toBe(true);
    expect(sameDraft({ ...base, wording: { ...base.wording, evidence: { ...evidence, window: 41 } } }, base)).toBe(false);
  });
  it("sends only what was changed", () => {
    expect(changesOf(base, base)).toEqual({});
    expect(changesOf({ ...base, description: " why " }, base)).toEqual({ description: "why" });
    expect(Object.keys(changesOf({ ...base, wording: { ...base.wording, user_text: "v" } }, base))).toEqual(["wording"]);
  });
});
