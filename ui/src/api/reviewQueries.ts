/** What the review queue asks: what waits, what was done, which categories there are. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { get, type Schemas } from "./client";
import { readSaves } from "./saves";
import type { Categories, ReviewQueue } from "./types";

const sae = (name: string) => `saes/${encodeURIComponent(name)}`;

export type QueueOrder = ReviewQueue["order"];
export type QueueList = { sae: string; run?: string | undefined; q?: string | undefined; order: QueueOrder; reviewer: string };

/** What waits; `of` says for which list, `serial` after which of one's own decisions (null: while some were on their way). */
export type Queue = ReviewQueue & { of: string; serial: number | null };

export const queueQuery = ({ sae: name, run, q, order, reviewer }: QueueList) => {
  const queryKey = ["queue", name, run ?? "", q ?? "", order, reviewer];
  return queryOptions({
    queryKey,
    queryFn: async ({ signal }): Promise<Queue> => {
      const { waiting, serial } = readSaves();
      const found = await get<ReviewQueue>(`${sae(name)}/queue`, { run, q, order, reviewer }, signal);
      return { ...found, of: JSON.stringify(queryKey), serial: waiting.length === 0 ? serial : null };
    },
    enabled: reviewer !== "",
    placeholderData: keepPreviousData,
    structuralSharing: false,
    staleTime: 0,
  });
};

/** A reviewer's newest steps, undone ones too. */
export const stepsQuery = (name: string, reviewer: string) =>
  queryOptions({
    queryKey: ["steps", name, reviewer],
    queryFn: ({ signal }) => get<Schemas["JournalEntries"]>(`${sae(name)}/reviews`, { reviewer, limit: 12 }, signal),
    enabled: reviewer !== "",
    staleTime: 0,
  });

export const categoriesQuery = (name: string, prefix: string) =>
  queryOptions({
    queryKey: ["categories", name, prefix],
    queryFn: ({ signal }) => get<Categories>(`${sae(name)}/categories`, { prefix, limit: 8 }, signal),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
