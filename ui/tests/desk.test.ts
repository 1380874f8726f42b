import { describe, expect, it } from "vitest";

import { begin, countDone, decide, goTo, merge, neighbour, nextOpen, reopen, type Desk, type Done } from "../src/lib/desk";

const yes: Done = { verb: "accepted", text: "court words" };
const skip: Done = { verb: "skipped", text: null };
const whole = (ids: number[]) => ({ ids, isWhole: true, isSettled: true });

describe("working through the queue", () => {
  it("goes from one to the next and ends", () => {
    let desk = begin([7, 3, 9]);
    expect(desk.at).toBe(7);
    desk = decide(desk, 7, yes);
    desk = decide(desk, 3, skip);
    expect(desk.at).toBe(9);
    desk = decide(desk, 9, yes);
    expect(desk.at).toBeNull();
    expect(countDone(desk.done, desk.ids)).toEqual({ n: 3, nReviewed: 2 });
  });
  it("comes back to what was passed over", () => {
    const ahead = goTo(begin([1, 2, 3]), 3);
    expect(decide(ahead, 3, yes).at).toBe(1);
    expect(nextOpen(ahead, 3)).toBe(1);
  });
  it("looks ahead and back over what is done too", () => {
    const desk = decide(begin([1, 2, 3]), 1, yes);
    expect(neighbour(desk, -1)).toBe(1);
    expect(neighbour(goTo(desk, 1), -1)).toBeNull();
    expect(neighbour(goTo(desk, 3), 1)).toBeNull();
    const over: Desk = { ...desk, at: null };
    expect([neighbour(over, -1), neighbour(over, 1)]).toEqual([3, null]);
  });
  it("begins at the feature that a link names, even one that does not wait", () => {
    expect(begin([1, 2], 2)).toMatchObject({ ids: [1, 2], at: 2 });
    expect(begin([1, 2], 8)).toMatchObject({ ids: [8, 1, 2], at: 8 });
    expect(decide(begin([1, 2], 8), 8, yes).at).toBe(1);
  });
  it("brings back what was taken back or failed, first of all", () => {
    const two = decide(decide(begin([1, 2, 3, 4]), 1, yes), 2, yes);
    const back = reopen(two, 1);
    expect(back.at).toBe(1);
    expect(back.done.has(1)).toBe(false);
    expect(decide(back, 1, yes, [1]).at).toBe(3);
    const failed: Desk = { ...two, done: new Map([[2, yes]]) };
    expect(decide(failed, 3, yes, [1]).at).toBe(1);
    expect(reopen(two, 77)).toMatchObject({ ids: [1, 2, 77, 3, 4], at: 77 });
  });
});

describe("what the server says waits", () => {
  const desk = decide(begin([1, 2, 3, 4]), 1, yes);
  it("keeps the place and takes the rest in the server's order", () => {
    expect(merge(desk, whole([2, 9, 4, 3]))).toMatchObject({ ids: [1, 2, 9, 4, 3], at: 2 });
  });
  it("drops what somebody else has judged, but not the one on screen", () => {
    expect(merge(goTo(desk, 3), whole([4]))).toMatchObject({ ids: [1, 3, 4], at: 3 });
    expect(merge(goTo(desk, 3), { ids: [4], isWhole: false, isSettled: true }).ids).toEqual([1, 2, 3, 4]);
  });
  it("believes it about what was decided only after that was stored", () => {
    expect(merge(desk, { ids: [1, 2], isWhole: true, isSettled: false }).done.has(1)).toBe(true);
    const again = merge(desk, whole([1, 2]));
    expect(again.done.has(1)).toBe(false);
    expect(decide(again, 2, yes).at).toBe(1);
  });
  it("goes on where all was done", () => {
    const over: Desk = { ids: [1], at: null, done: new Map([[1, yes]]) };
    expect(merge(over, whole([5, 6]))).toMatchObject({ ids: [1, 5, 6], at: 5 });
    expect(merge(over, whole([]))).toMatchObject({ ids: [1], at: null });
  });
});
