import { useQueries } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";

import { rowQuery } from "../../api/queries";
import type { FeatureRow } from "../../api/types";

/** `isHeld`: the list is still changing under a brush, and only what is known already is shown. */
export type RowsOf = { sae: string; run: string | undefined; snapshot: number | undefined; isHeld?: boolean };
export type Loaded = { rows: Map<number, FeatureRow>; error: Error | null; retry: () => void };

const JUMP = 60;

/** The range that is worth loading: at once while one scrolls, but not everything that a dragged scrollbar flies over. */
function useSettled(first: number, last: number): boolean {
  const [settled, setSettled] = useState({ first, last });
  const isNear = Math.abs(first - settled.first) < JUMP;
  useEffect(() => {
    if (first === settled.first && last === settled.last) return undefined;
    const timer = window.setTimeout(() => setSettled({ first, last }), isNear ? 0 : 90);
    return () => window.clearTimeout(timer);
  }, [first, last, isNear, settled]);
  return isNear;
}

/** The rows of the ids that are on screen, from the cache or by one request for all that are missing. */
export function useRows({ sae, run, snapshot, isHeld = false }: RowsOf, ids: Uint32Array, first: number, last: number): Loaded {
  const isSettled = useSettled(first, last);
  const shown = [...ids.subarray(first, last + 1)];
  return useQueries({
    queries: shown.map((id) => ({ ...rowQuery(sae, run, snapshot, id), enabled: isSettled && !isHeld && snapshot !== undefined })),
    combine: useCallback((results: { data?: FeatureRow | undefined; error: Error | null; refetch: () => unknown }[]) => {
      const failed = results.filter((result) => result.error !== null);
      return {
        rows: new Map(results.flatMap(({ data }) => (data ? [[data.feature_index, data] as const] : []))),
        error: failed[0]?.error ?? null,
        retry: () => failed.forEach((result) => void result.refetch()),
      };
    }, []),
  });
}
