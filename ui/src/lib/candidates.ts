/** What a reviewer chooses from: each text that was ever said of a feature once, with who said it last. */
import type { FeatureLabels, Label } from "../api/types";

/** `n` labels say the same; the newest of them, or the one in force, speaks for all. */
export type Candidate = { label: Label; n: number };

export const MOST_BY_KEY = 9;

/** Its writer said it and took it back, as if it had not been said. */
const isTakenBack = (label: Label): boolean => label.source === "human" && label.reject_reason === "taken back";

const textOf = (label: Label): string => (label.semantic_label ?? "").trim().toLowerCase();

function rank(label: Label): number {
  if (label.is_current) return 0;
  return { unreviewed: 1, accepted: 2, rejected: 3 }[label.review_state];
}

/** The label in force first, then what nobody has judged, then the rest; within each the newest first. */
export function candidatesOf({ items }: FeatureLabels): Candidate[] {
  const byText = new Map<string, Candidate>();
  for (const label of items) {
    if (label.semantic_label === null || label.status !== "labeled" || isTakenBack(label)) continue;
    const before = byText.get(textOf(label));
    if (!before) byText.set(textOf(label), { label, n: 1 });
    else byText.set(textOf(label), { label: label.is_current ? label : before.label, n: before.n + 1 });
  }
  return [...byText.values()].toSorted((a, b) => rank(a.label) - rank(b.label) || b.label.id - a.label.id);
}

/** Labelers that answered without a text, the newest answer of each. */
export function silentOf({ items }: FeatureLabels): Label[] {
  const byLabeler = new Map<string, Label>();
  for (const label of items) {
    if (label.status === "labeled") continue;
    const who = `${label.provider ?? label.source} ${label.model ?? ""}`;
    if (!byLabeler.has(who)) byLabeler.set(who, label);
  }
  return [...byLabeler.values()];
}

/** The candidate that a decision is about: the one that was chosen, else the first that was not rejected. */
export function chosenOf(candidates: Candidate[], id: number | undefined): Label | undefined {
  const found = candidates.find(({ label }) => label.id === id) ?? candidates.find(({ label }) => label.review_state !== "rejected");
  return found?.label;
}

/** Whether another candidate is still to be judged once this one is rejected. */
export const leavesAnother = (candidates: Candidate[], rejected: Label): boolean =>
  candidates.some(({ label }) => label.id !== rejected.id && label.review_state === "unreviewed");

/** The labels as they will be once a review is stored, as far as can be told from here: a person's own stay in force. */
export function judged(labels: FeatureLabels, id: number, review_state: "accepted" | "rejected"): FeatureLabels {
  const staysOwn = labels.current?.source === "human" && labels.current.id !== id;
  const currentId = review_state === "accepted" && !staysOwn ? id : labels.current?.id === id ? null : labels.current?.id;
  const items = labels.items.map((label) => ({ ...label, review_state: label.id === id ? review_state : label.review_state, is_current: label.id === currentId }));
  return { ...labels, items, current: items.find((label) => label.is_current) ?? null };
}

export type Written = { semantic_label: string; category_label: string; explanation: string };

export const writtenFrom = (label: Label | null): Written => ({
  semantic_label: label?.semantic_label ?? "",
  category_label: label?.category_label ?? "",
  explanation: label?.explanation ?? "",
});

export const trimmed = (written: Written): Written => ({
  semantic_label: written.semantic_label.trim(),
  category_label: written.category_label.trim(),
  explanation: written.explanation.trim(),
});
