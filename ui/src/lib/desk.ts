/** The review queue as one person works through it: where they are, what they have decided, and what comes next. */

export type Verb = "accepted" | "rejected" | "wrote" | "skipped";
export type Done = { verb: Verb; text: string | null };

export type Desk = {
  /** Features in the order in which they come up. */
  ids: number[];
  /** The one on screen; null where all are done. */
  at: number | null;
  /** What was decided here and not taken back. */
  done: ReadonlyMap<number, Done>;
};

/** A new queue; `at` is a feature that a link named, whether it waits or not. */
export function begin(ids: number[], at?: number): Desk {
  const all = at === undefined || ids.includes(at) ? ids : [at, ...ids];
  return { ids: all, at: at ?? all[0] ?? null, done: new Map() };
}

/** The next that is not done: what comes after this place, else what was passed over. */
export function nextOpen({ ids, done }: Desk, after: number | null): number | null {
  const place = after === null ? -1 : ids.indexOf(after);
  return ids.find((id, i) => i > place && !done.has(id)) ?? ids.find((id) => id !== after && !done.has(id)) ?? null;
}

/** A decision; `first` are features that came back because something failed, and go before all others. */
export function decide(desk: Desk, feature: number, what: Done, first: number[] = []): Desk {
  const next: Desk = { ...desk, done: new Map(desk.done).set(feature, what) };
  const back = first.find((id) => id !== feature && !next.done.has(id));
  return { ...next, at: back ?? nextOpen(next, feature) };
}

/** A feature on screen again that is no longer done: its decision was taken back, or could not be stored. */
export function reopen(desk: Desk, feature: number): Desk {
  const done = new Map(desk.done);
  done.delete(feature);
  return { ...goTo(desk, feature), done };
}

/** A feature on screen; one that is not in the queue takes its place before the one that was there. */
export function goTo({ ids, at, done }: Desk, feature: number): Desk {
  if (ids.includes(feature)) return { ids, at: feature, done };
  const place = at === null ? ids.length : ids.indexOf(at);
  return { ids: ids.toSpliced(place, 0, feature), at: feature, done };
}

/** The feature that many places ahead or back, done or not; none beyond the ends. */
export function neighbour({ ids, at }: Desk, by: number): number | null {
  if (at === null) return by < 0 ? (ids.at(by) ?? null) : null;
  return ids[ids.indexOf(at) + by] ?? null;
}

/** `isWhole`: these are all that wait. `isSettled`: they were listed after everything decided here was stored. */
export type Waiting = { ids: number[]; isWhole: boolean; isSettled: boolean };

/** The queue as the server has it now; what one has passed, and where one is, stay. */
export function merge(desk: Desk, { ids, isWhole, isSettled }: Waiting): Desk {
  const waiting = new Set(ids);
  const done = new Map(isSettled ? [...desk.done].filter(([id]) => !waiting.has(id)) : desk.done);
  const place = desk.at === null ? desk.ids.length : desk.ids.indexOf(desk.at) + 1;
  // Somebody else has judged what is neither done nor waiting any more.
  const kept = desk.ids.slice(0, place).filter((id) => id === desk.at || done.has(id) || waiting.has(id) || !isWhole);
  const known = new Set(kept);
  const next: Desk = { ids: [...kept, ...ids.filter((id) => !known.has(id) && !done.has(id))], at: desk.at, done };
  return { ...next, at: next.at ?? nextOpen(next, null) };
}

/** How many of these are decided here, and how many of them other than by skipping. */
export function countDone(done: Desk["done"], ids: readonly number[]): { n: number; nReviewed: number } {
  const found = ids.flatMap((id) => done.get(id) ?? []);
  return { n: found.length, nReviewed: found.filter(({ verb }) => verb !== "skipped").length };
}
