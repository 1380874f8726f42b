import { describe, expect, it } from "vitest";

import { assignBins, countBins, filterIds, fromShare, logHeight, makeAxis, octavesIn, snap, ticks, toShare } from "../src/lib/binning";

const every = (n: number) => Uint32Array.from({ length: n }, (_, i) => i);

describe("axes", () => {
  it("take log bounds outwards to quarter decades and leave out what has no place", () => {
    const axis = makeAxis("f", new Float64Array([0, Number.NaN, -1, 0.002, 0.3, Infinity]), true)!;
    expect(axis.low).toBeCloseTo(10 ** -2.75);
    expect(axis.high).toBeCloseTo(10 ** -0.5);
  });
  it("do not exist where there is nothing to draw", () => {
    expect(makeAxis("f", new Float64Array([0, Number.NaN]), true)).toBeNull();
    expect(makeAxis("f", new Float64Array(), false)).toBeNull();
  });
  it("exist for a single value", () => {
    expect(makeAxis("f", new Float64Array([1]), true)!.high).toBeGreaterThan(1);
    expect(makeAxis("f", new Float64Array([5]), false)!.high).toBe(6);
  });
  it("map there and back", () => {
    const axis = makeAxis("f", new Float64Array([1e-5, 0.5]), true)!;
    for (const x of [1e-4, 0.003, 0.2]) expect(fromShare(axis, toShare(axis, x))).toBeCloseTo(x, 10);
    expect(toShare(axis, 0)).toBe(0);
    expect(toShare(axis, Infinity)).toBe(1);
  });
  it("tick at powers of ten", () => {
    expect(ticks(makeAxis("f", new Float64Array([0.9, 2000]), true)!)).toEqual([1, 10, 100, 1000]);
  });
});

describe("brushing", () => {
  const values = new Float64Array([0.1, 1, 5, 10, 0, Number.NaN, 100]);
  it("counts every id in one bin, and those without a place in none", () => {
    const axis = makeAxis("f", values, true)!;
    const bins = assignBins(axis, values);
    expect(countBins(axis.bins, bins, every(7)).reduce((a, b) => a + b)).toBe(5);
    expect(countBins(axis.bins, bins, Uint32Array.of(4, 5)).reduce((a, b) => a + b)).toBe(0);
  });
  it("keeps order, both ends and nothing without a value", () => {
    const columns = new Map([["f", values]]);
    expect([...filterIds(Uint32Array.of(6, 3, 1, 5, 0), [{ field: "f", low: 1, high: 10 }], columns)]).toEqual([3, 1]);
    expect([...filterIds(every(7), [{ field: "f", low: 1, high: 100 }, { field: "f", low: 0, high: 5 }], columns)]).toEqual([1, 2]);
    expect([...filterIds(every(2), [{ field: "none", low: 0, high: 0 }], columns)]).toEqual([0, 1]);
  });
  it("snaps to whole bins, at least one", () => {
    const axis = { field: "f", log: false, low: 0, high: 10, bins: 10 };
    expect(snap(axis, 0.33, 0.11)).toMatchObject({ low: 1, high: 4 });
    expect(snap(axis, 0.5, 0.5)).toMatchObject({ from: 5, to: 6 });
    expect(snap(axis, 0.99, 1)).toMatchObject({ from: 9, to: 10 });
  });
  it("takes a brush over 131,072 features within a frame or three", () => {
    const n = 131_072;
    const many = Float64Array.from({ length: n }, (_, i) => 10 ** (-6 + (6 * ((i * 7919) % n)) / n));
    const columns = new Map([["f", many]]);
    const axis = makeAxis("f", many, true)!;
    const bins = assignBins(axis, many);
    const ids = every(n);
    // Four histograms per move; the best of some rounds is the code's, the rest is the machine's.
    const rounds = Array.from({ length: 8 }, () => {
      const start = performance.now();
      for (let i = 0; i < 4; i++) countBins(axis.bins, bins, filterIds(ids, [{ field: "f", low: 1e-5, high: 1e-2 }], columns));
      return performance.now() - start;
    });
    expect(Math.min(...rounds)).toBeLessThan(50);
  });
});

describe("octaves", () => {
  it("are those that a range touches; an upper end at an edge is not in the next", () => {
    expect(octavesIn(4, 8)).toEqual([2]);
    expect(octavesIn(5, 9)).toEqual([2, 3]);
    expect(octavesIn(0.75, 3)).toEqual([-1, 0, 1]);
    expect(octavesIn(-2, 0)).toEqual([]);
  });
});

it("a single event is still seen", () => {
  expect(logHeight(1, 1e6)).toBeGreaterThan(0.04);
  expect(logHeight(0, 10)).toBe(0);
  expect(logHeight(10, 10)).toBe(1);
});
