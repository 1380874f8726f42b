import { describe, expect, it } from "vitest";

import type { Mark, TokenText } from "../src/api/types";
import { around, cutRuns, glyph, segmentText, shareBelow, stepOf } from "../src/lib/segments";

const mark = (segment: number, value: number | null): Mark => ({ segment, value, tokens: [{ position: segment, token_id: 1, token: "", value }] });
// " the 👩‍👩‍👧 <b>\n": five segments, one of them of eight UTF-16 units
const family = "👩‍👩‍👧";
const pieces = [" the", ` ${family}`, " <b>", "\n", "x"];
const ends = pieces.map((_, i) => pieces.slice(0, i + 1).join("").length);
const content: TokenText = { text: pieces.join(""), ends, marks: [mark(1, 5), mark(3, 10)], peak_segment: 3 };

describe("cutRuns", () => {
  it("gives back the text exactly, with elements for marks only", () => {
    const runs = cutRuns(content);
    expect(runs.map((run) => run.text).join("")).toBe(content.text);
    expect(runs.map((run) => run.text)).toEqual([" the", ` ${family}`, " <b>", "\n", "x"]);
    expect(runs.filter((run) => run.mark).map((run) => run.mark!.segment)).toEqual([1, 3]);
    expect(runs.find((run) => run.isPeak)!.text).toBe("\n");
  });
  it("joins what lies between marks into one string", () => {
    expect(cutRuns({ ...content, marks: [mark(4, 1)], peak_segment: 4 }).map((run) => run.text)).toEqual([` the ${family} <b>\n`, "x"]);
    expect(cutRuns({ ...content, marks: [] })).toHaveLength(1);
  });
  it("crops by whole segments around the peak", () => {
    expect(around(content, 1, 0)).toEqual({ first: 2, last: 3 });
    expect(around(content, 99, 99)).toEqual({ first: 0, last: 4 });
    expect(cutRuns(content, { first: 2, last: 3 }).map((run) => run.text)).toEqual([" <b>", "\n"]);
    expect(segmentText(content, 1)).toBe(` ${family}`);
  });
  it("takes empty text", () => {
    expect(cutRuns({ text: "", ends: [], marks: [], peak_segment: 0 })).toEqual([]);
  });
});

describe("stepOf", () => {
  it("gives the maximum the last step and anything that fires the first at least", () => {
    expect([0.001, 0.2, 0.21, 0.6, 1].map((share) => stepOf(share * 7, { max: 7, scale: "linear" }))).toEqual([1, 1, 2, 3, 5]);
    expect([1, 0.51, 0.5, 0.25, 0.01].map((share) => stepOf(share, { max: 1, scale: "log" }))).toEqual([5, 5, 4, 3, 1]);
  });
  it("leaves out what does not fire, and takes magnitudes", () => {
    expect(stepOf(null, { max: 7, scale: "linear" })).toBe(0);
    expect(stepOf(0, { max: 7, scale: "log" })).toBe(0);
    expect(stepOf(3, { max: 0, scale: "linear" })).toBe(0);
    expect(stepOf(-7, { max: 7, scale: "linear" })).toBe(5);
  });
});

describe("shareBelow", () => {
  const firings = { edges: [1, 2, 4, 8], counts: [6, 3, 1] };
  it("counts whole bins below and the value's own bin in part", () => {
    expect([0.5, 1, 2, 3, 4, 8, 9].map((value) => shareBelow(firings, value))).toEqual([0, 0, 0.6, 0.75, 0.9, 1, 1]);
    expect(shareBelow({ edges: [], counts: [] }, 3)).toBeNull();
  });
  it("differs from the exact share by no more than the value's own bin", () => {
    const values = Array.from({ length: 500 }, (_, i) => 1 + 7 * (((i * 167) % 500) / 500) ** 3);
    const counts = [1, 2, 4].map((low) => values.filter((x) => x >= low && x < 2 * low).length);
    for (const value of values) {
      const exact = values.filter((x) => x < value).length / values.length;
      const own = counts[Math.floor(Math.log2(value))]! / values.length;
      expect(Math.abs(shareBelow({ edges: [1, 2, 4, 8], counts }, value)! - exact)).toBeLessThanOrEqual(own);
    }
  });
  it("colours by rank, where most firings are weak", () => {
    expect([1.1, 2, 4, 8].map((value) => stepOf(value, { max: 8, scale: "percentile", firings }))).toEqual([1, 3, 5, 5]);
    expect(stepOf(-8, { max: 8, scale: "percentile", firings })).toBe(5);
    expect(stepOf(2, { max: 8, scale: "percentile" })).toBe(stepOf(2, { max: 8, scale: "linear" }));
  });
});

it("shows white space by a glyph, and nothing else", () => {
  expect(glyph("\n\n")).toBe("⏎⏎");
  expect(glyph(" \t")).toBe("␣⇥");
  expect(glyph(" a")).toBeNull();
});
