/** Labels after a change: what shows them is told at once, lists ask again. */
import type { Query, QueryClient } from "@tanstack/react-query";

import type { Feature, FeatureLabels } from "./types";

const LISTS = ["matches", "facets", "row", "runs"];

/** A feature's answers, whatever its SAE is called in the address. */
const ofFeature = (sae: string, index: number) => ({ queryKey: [kind], state }: Query) => {
  const data = kind === "feature" ? (state.data as Feature | undefined) : undefined;
  return data?.sae.uid === sae && data.feature_index === index;
};

/** The feature's new labels wherever it is shown; lists that are not shown ask when they are next. */
export function keepLabels(client: QueryClient, sae: string, labels: FeatureLabels, lists: "ask now" | "ask later" = "ask now") {
  client.setQueriesData<Feature>({ predicate: ofFeature(sae, labels.feature_index) }, (before) => before && { ...before, labels });
  for (const name of LISTS) void client.invalidateQueries({ queryKey: [name], refetchType: name === "row" || lists === "ask later" ? "none" : "active" });
  if (lists === "ask now") void client.invalidateQueries({ queryKey: ["queue"], refetchType: "none" });
}

/** Somebody else was faster: what they did is to be seen before one decides again. */
export const readAgain = (client: QueryClient, sae: string, index: number): Promise<void> =>
  client.invalidateQueries({ predicate: ofFeature(sae, index) });
