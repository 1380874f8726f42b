import { describe, expect, it } from "vitest";

import type { Mark, TokenText } from "../src/api/types";
import { around, cutRuns, glyph, segmentText, stepOf } from "../src/lib/segments";

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
    expect([0.001, 0.2, 0.21, 0.6, 1].map((share) => stepOf(share * 7, 7, "linear"))).toEqual([1, 1, 2, 3, 5]);
    expect([1, 0.51, 0.5, 0.25, 0.01].map((share) => stepOf(share, 1, "log"))).toEqual([5, 5, 4, 3, 1]);
  });
  it("leaves out what does not fire, and takes magnitudes", () => {
    expect(stepOf(null, 7, "linear")).toBe(0);
    expect(stepOf(0, 7, "log")).toBe(0);
    expect(stepOf(3, 0, "linear")).toBe(0);
    expect(stepOf(-7, 7, "linear")).toBe(5);
  });
});

it("shows white space by a glyph, and nothing else", () => {
  expect(glyph("\n\n")).toBe("⏎⏎");
  expect(glyph(" \t")).toBe("␣⇥");
  expect(glyph(" a")).toBeNull();
});
