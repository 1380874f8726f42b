import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { featureQuery, matchesQuery } from "../../api/queries";

export type Walk = { place: number; n: number; before: number | undefined; after: number | undefined };

/** Where a feature stands in the result set one came from; its neighbours are loaded ahead. */
export function useWalk(sae: string, search: { run?: string | undefined; q?: string | undefined; sort?: string | undefined }, index: number, isReady: boolean): Walk | null {
  const client = useQueryClient();
  const { data } = useQuery(matchesQuery({ sae, ...search }));
  const place = data ? data.ids.indexOf(index) : -1;
  const before = place > 0 ? data?.ids[place - 1] : undefined;
  const after = place >= 0 ? data?.ids[place + 1] : undefined;
  useEffect(() => {
    if (!isReady) return;
    for (const id of [after, before]) if (id !== undefined) void client.prefetchQuery(featureQuery(sae, search.run, id));
  }, [client, sae, search.run, before, after, isReady]);
  return data ? { place, n: data.ids.length, before, after } : null;
}
