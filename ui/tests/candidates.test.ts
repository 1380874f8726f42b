import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import type { FeatureLabels, Label } from "../src/api/types";
import { candidatesOf, chosenOf, judged, leavesAnother, silentOf } from "../src/lib/candidates";
import { LINT_CODES, lintText } from "../src/lib/lint";

const label = (id: number, text: string | null, more: Partial<Label> = {}): Label =>
  ({ id, semantic_label: text, status: text === null ? "abstained" : "labeled", source: "llm", provider: "openai", model: "m", review_state: "unreviewed", lint: [], is_current: false, ...more }) as Label;

/** Newest first, as the server lists them. */
const labelsOf = (...items: Label[]): FeatureLabels => ({ feature_index: 1, rev: 1, is_favorite: false, items, current: items.find((item) => item.is_current) ?? null });
const ids = (labels: FeatureLabels) => candidatesOf(labels).map((candidate) => candidate.label.id);

describe("candidates", () => {
  it("has each text once, by its newest label or the one in force", () => {
    const found = candidatesOf(labelsOf(label(5, "Court words"), label(4, "law"), label(3, "court words ", { is_current: true }), label(2, "law")));
    expect(found.map(({ label: { id }, n }) => [id, n])).toEqual([[3, 2], [4, 2]]);
  });
  it("comes in force first, then unjudged, then accepted, then rejected", () => {
    expect(ids(labelsOf(label(9, "a", { review_state: "rejected" }), label(8, "b", { review_state: "accepted" }), label(7, "c"), label(6, "d"), label(5, "e", { is_current: true })))).toEqual([5, 7, 6, 8, 9]);
  });
  it("leaves out answers without a text and tells of them once per labeler", () => {
    const labels = labelsOf(label(4, null), label(3, null), label(2, null, { provider: "lexical", model: null }), label(1, "a"));
    expect(ids(labels)).toEqual([1]);
    expect(silentOf(labels).map(({ id }) => id)).toEqual([4, 2]);
  });
  it("leaves out what its writer took back", () => {
    const taken: Partial<Label> = { source: "human", review_state: "rejected", reject_reason: "taken back" };
    expect(ids(labelsOf(label(3, "b", taken), label(2, "a", { review_state: "rejected", reject_reason: "taken back" }), label(1, "b")))).toEqual([1, 2]);
  });
  it("chooses the first that was not rejected", () => {
    const candidates = candidatesOf(labelsOf(label(3, "a", { review_state: "rejected", is_current: false }), label(2, "b")));
    expect(chosenOf(candidates, undefined)?.id).toBe(2);
    expect(chosenOf(candidates, 3)?.id).toBe(3);
    expect(chosenOf(candidates, 99)?.id).toBe(2);
    expect(chosenOf([], 1)).toBeUndefined();
  });
  it("knows whether another is left to judge", () => {
    const [a, b] = [label(2, "a", { is_current: true }), label(1, "b")];
    expect(leavesAnother(candidatesOf(labelsOf(a, b)), a)).toBe(true);
    expect(leavesAnother(candidatesOf(labelsOf(a, { ...b, review_state: "accepted" })), a)).toBe(false);
    expect(leavesAnother(candidatesOf(labelsOf(a)), a)).toBe(false);
  });
  it("shows a decision before it is stored", () => {
    const labels = labelsOf(label(2, "a", { is_current: true }), label(1, "b"));
    expect(judged(labels, 1, "accepted").current?.id).toBe(1);
    expect(judged(labels, 2, "rejected")).toMatchObject({ current: null, items: [{ review_state: "rejected", is_current: false }, { review_state: "unreviewed" }] });
    const own = labelsOf(label(2, "a", { is_current: true, source: "human" }), label(1, "b"));
    expect(judged(own, 1, "accepted").current?.id).toBe(2);
  });
});

describe("lint", () => {
  it("knows what every code of the store means", () => {
    const source = readFileSync(new URL("../../src/featlas/explain/lint.py", import.meta.url), "utf8");
    const codes = source.slice(source.indexOf("CODES"), source.indexOf("\n}\n"));
    expect(LINT_CODES).toEqual([...codes.matchAll(/^ {4}"(\w+)":/gm)].map(([, code]) => code));
    expect(lintText("too_long")).toBe("too long: more than 8 words or 80 characters");
    expect(lintText("new_code")).toBe("new code");
  });
});
