import { useQueries, type UseQueryResult } from "@tanstack/react-query";
import { useState } from "react";

import { featureQuery } from "../../api/queries";
import type { Queue } from "../../api/reviewQueries";
import { useSaves } from "../../api/saves";
import type { Feature } from "../../api/types";
import { begin, goTo, merge, neighbour, nextOpen, type Desk } from "../../lib/desk";

/** Desks by their queue: who looks at a feature's page and comes back finds theirs as they left it. */
const desks = new Map<string, Desk>();

/** Where a reviewer is in this queue, kept in step with what the server says waits. */
export function useDesk(queue: Queue, at: number | undefined): [Desk, (next: (desk: Desk) => Desk) => void] {
  const { serial } = useSaves();
  const [desk, setDesk] = useState(() => {
    const known = desks.get(queue.of);
    if (!known) return begin(queue.ids, at);
    const there = merge(known, { ids: queue.ids, isWhole: false, isSettled: false });
    return at === undefined ? there : goTo(there, at);
  });
  const [seen, setSeen] = useState(queue);
  let current = desk;
  if (seen !== queue) {
    current = merge(desk, { ids: queue.ids, isWhole: queue.n_waiting <= queue.ids.length, isSettled: queue.serial === serial });
    setSeen(queue);
    setDesk(current);
  }
  const change = (next: (desk: Desk) => Desk) =>
    setDesk((before) => {
      const after = next(before);
      desks.set(queue.of, after);
      return after;
    });
  return [current, change];
}

export type Loaded = { id: number; query: UseQueryResult<Feature> };

/** The feature on screen and those that a key can bring up, all loaded; the one after those is on its way. */
export function useAround(desk: Desk, sae: string, run: string | undefined): Loaded[] {
  const next = nextOpen(desk, desk.at);
  const near = [desk.at, next, neighbour(desk, 1), neighbour(desk, -1), next === null ? null : nextOpen({ ...desk, at: next }, next)];
  const ids = [...new Set(near.filter((id) => id !== null))];
  const queries = useQueries({ queries: ids.map((id) => featureQuery(sae, run, id)) });
  return ids.map((id, i) => ({ id, query: queries[i]! }));
}
