import { expect, it } from "vitest";

import { boxHeight, boxTop, listTop, rowsAt } from "../src/lib/rowWindow";

const short = { count: 1000, rowHeight: 52, viewHeight: 520 };
const long = { count: 2_000_000, rowHeight: 52, viewHeight: 520 };

it("shows the rows under the view and some around it", () => {
  expect(rowsAt(short, 0, 3)).toEqual({ first: 0, last: 13 });
  expect(rowsAt(short, 5200, 3)).toEqual({ first: 97, last: 113 });
  expect(rowsAt(short, 52_000, 3).last).toBe(999);
  expect(rowsAt({ ...short, count: 0 }, 0, 3)).toEqual({ first: 0, last: -1 });
});

it("scrolls a list that is longer than a box can be from its first row to its last", () => {
  expect(boxHeight(short)).toBe(52_000);
  expect(boxHeight(long)).toBe(12_000_000);
  expect(rowsAt(long, 0, 0).first).toBe(0);
  expect(rowsAt(long, boxHeight(long) - long.viewHeight, 0).last).toBe(1_999_999);
  for (const top of [0, 1e6, 1e8]) expect(listTop(long, boxTop(long, top))).toBeCloseTo(top, 3);
  expect(listTop(short, 77)).toBe(77);
});
