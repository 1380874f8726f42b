/** Every question to the server as TanStack Query options, so that a key exists once. */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";

import { readBlock, type Column } from "./blocks";
import { get, getBytes, post, type Schemas } from "./client";
import type { BandExamples, DocumentPiece, Facets, Feature, FeatureRow, Health, Job, ReadQuery, Run, Sae, Workers } from "./types";

/** What a list shows: the SAE, the run (none: its newest), the query text and the sort keys. */
export type ListQuery = { sae: string; run?: string | undefined; q?: string | undefined; sort?: string | undefined };

export type Matches = {
  ids: Uint32Array;
  snapshot: number;
  n_matches: number;
  n_features: number;
  query: ReadQuery;
};

const sae = (name: string) => `saes/${encodeURIComponent(name)}`;
const FOREVER = { staleTime: Infinity, gcTime: 10 * 60_000 };

export const healthQuery = queryOptions({
  queryKey: ["health"],
  queryFn: ({ signal }) => get<Health>("health", {}, signal),
  refetchInterval: (query) => (query.state.status === "error" ? 3000 : 20_000),
  retry: false,
});

export const runsQuery = infiniteQueryOptions({
  queryKey: ["runs"],
  queryFn: ({ pageParam, signal }) => get<Schemas["Runs"]>("runs", { after: pageParam, limit: 50 }, signal),
  initialPageParam: "",
  getNextPageParam: (page) => page.next,
});

export const runQuery = (run: string | number) =>
  queryOptions({ queryKey: ["runs", String(run)], queryFn: ({ signal }) => get<Run>(`runs/${run}`, {}, signal) });

export const saesQuery = queryOptions({ queryKey: ["saes"], queryFn: ({ signal }) => get<Sae[]>("saes", {}, signal) });

export const saeQuery = (name: string) =>
  queryOptions({ queryKey: ["saes", name], queryFn: ({ signal }) => get<Sae>(sae(name), {}, signal) });

/** The server's page names this number in its hint, so that the answer is on its way before this script runs. */
const SCREENFUL = 24;

/** All matches; their first rows come with them, because a list shows them first. */
export const matchesQuery = (list: ListQuery) =>
  queryOptions({
    queryKey: ["matches", list.sae, list.run ?? "", list.q ?? "", list.sort ?? ""],
    queryFn: async ({ client, signal }): Promise<Matches> => {
      const { sae: name, run, q, sort } = list;
      const buffer = await getBytes(`${sae(name)}/matches`, { run, q, sort, rows: SCREENFUL }, signal);
      const block = readBlock<Omit<Matches, "ids"> & { rows: FeatureRow[] }>(buffer);
      const { snapshot, n_matches, n_features, query, rows } = block.header;
      for (const row of rows) client.setQueryData(rowQuery(name, run, snapshot, row.feature_index).queryKey, row);
      return { ids: block.columns.get("feature_index") as Uint32Array, snapshot, n_matches, n_features, query };
    },
    placeholderData: keepPreviousData,
    structuralSharing: false,
    staleTime: 60_000,
  });

export const COLUMN_NAMES = ["activation_frequency", "max_activation", "mean_activation", "n_documents_fired"] as const;

export const columnsQuery = (name: string, run: string | undefined, snapshot: number | undefined) =>
  queryOptions({
    queryKey: ["columns", name, run ?? "", snapshot ?? 0],
    queryFn: async ({ signal }): Promise<Map<string, Column>> => {
      const buffer = await getBytes(`${sae(name)}/columns`, { run, names: COLUMN_NAMES.join(",") }, signal);
      return readBlock(buffer).columns;
    },
    enabled: snapshot !== undefined,
    structuralSharing: false,
    ...FOREVER,
  });

/** Rows asked for within one beat go out as one request. */
const waiting = new Map<string, Map<number, { resolve: (row: FeatureRow) => void; reject: (error: Error) => void }[]>>();
const MOST_ROWS = 200;

async function sendRows(key: string, name: string, run: string | undefined) {
  const asked = [...(waiting.get(key) ?? [])];
  waiting.delete(key);
  for (let at = 0; at < asked.length; at += MOST_ROWS) {
    const part = asked.slice(at, at + MOST_ROWS);
    const ids = part.map(([id]) => id);
    try {
      const rows = await post<{ items: FeatureRow[] }>(`${sae(name)}/rows`, { feature_indices: ids }, { run });
      const found = new Map(rows.items.map((row) => [row.feature_index, row]));
      for (const [id, asks] of part) {
        const row = found.get(id);
        for (const ask of asks) {
          if (row) ask.resolve(row);
          else ask.reject(new Error(`there is no feature ${id}`));
        }
      }
    } catch (error) {
      for (const [, asks] of part) for (const ask of asks) ask.reject(error as Error);
    }
  }
}

function askRow(name: string, run: string | undefined, id: number): Promise<FeatureRow> {
  const key = JSON.stringify([name, run ?? ""]);
  let asked = waiting.get(key);
  if (!asked) {
    waiting.set(key, (asked = new Map()));
    window.setTimeout(() => void sendRows(key, name, run), 5);
  }
  return new Promise((resolve, reject) => {
    const asks = asked.get(id) ?? [];
    asks.push({ resolve, reject });
    asked.set(id, asks);
  });
}

export const rowQuery = (name: string, run: string | undefined, snapshot: number | undefined, id: number) =>
  queryOptions({
    queryKey: ["row", name, run ?? "", snapshot ?? 0, id],
    queryFn: () => askRow(name, run, id),
    staleTime: 5 * 60_000,
  });

export const facetsQuery = ({ sae: name, run, q }: ListQuery) =>
  queryOptions({
    queryKey: ["facets", name, run ?? "", q ?? ""],
    queryFn: ({ signal }) => get<Facets>(`${sae(name)}/facets`, { run, q }, signal),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });

export const featureQuery = (name: string, run: string | undefined, index: number) =>
  queryOptions({
    queryKey: ["feature", name, run ?? "", index],
    queryFn: ({ signal }) => get<Feature>(`${sae(name)}/features/${index}`, { run }, signal),
    staleTime: 60_000,
  });

/** More of a band than the feature's page brought along; `after` is how many are known. */
export const examplesQuery = (name: string, run: string | undefined, index: number, first: BandExamples) =>
  infiniteQueryOptions({
    queryKey: ["examples", name, run ?? "", index, first.band],
    queryFn: ({ pageParam, signal }) =>
      get<BandExamples>(
        `${sae(name)}/features/${index}/examples`,
        { run, band: first.band, after: pageParam, limit: 20 },
        signal,
      ),
    initialPageParam: first.items.length,
    getNextPageParam: (page) => {
      const known = (page.items.at(-1)?.place ?? page.n_published) + 1;
      return known < page.n_published ? known : null;
    },
    enabled: false,
    ...FOREVER,
  });

export type Piece = { run: string | undefined; feature: number; first: number; n: number };

export const documentQuery = (name: string, document: number, piece: Piece) =>
  queryOptions({
    queryKey: ["document", name, document, piece],
    queryFn: ({ signal }) => get<DocumentPiece>(`${sae(name)}/documents/${document}`, piece, signal),
    placeholderData: keepPreviousData,
    ...FOREVER,
  });

export const jobsQuery = (state?: string) =>
  infiniteQueryOptions({
    queryKey: ["jobs", state ?? ""],
    queryFn: ({ pageParam, signal }) =>
      get<Schemas["Jobs"]>("jobs", { after: pageParam, limit: 50, state }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  });

export const workersQuery = queryOptions({
  queryKey: ["workers"],
  queryFn: ({ signal }) => get<Workers>("workers", {}, signal),
  refetchInterval: 10_000,
});

export const jobQuery = (id: number) =>
  queryOptions({ queryKey: ["job", id], queryFn: ({ signal }) => get<Job>(`jobs/${id}`, {}, signal) });
