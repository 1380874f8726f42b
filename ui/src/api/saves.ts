/** A reviewer's decisions on their way to the server: one after the other, and what fails is kept until somebody has dealt with it. */
import { useSyncExternalStore } from "react";

import { judged } from "../lib/candidates";
import { setUnstored } from "../lib/unstored";
import { client } from "./cache";
import { post } from "./client";
import { keepLabels, readAgain } from "./labels";
import type { Feature, FeatureLabels, Label, Reviewed } from "./types";
import type { Written } from "../lib/candidates";

export type Decision =
  | { action: "accept"; label: Label }
  | { action: "reject"; label: Label; reason: string }
  | { action: "write"; written: Written; from: Label | null }
  | { action: "skip" };

export type Step = { sae: string; run: string | undefined; feature: number; reviewer: string; seen: FeatureLabels; decision: Decision };
export type Failure = { step: Step; error: Error };
export type Saves = { waiting: Step[]; failures: Failure[]; /** Grows with everything that is stored or sent. */ serial: number };

let saves: Saves = { waiting: [], failures: [], serial: 0 };
let sending: Step | null = null;
let line: Promise<unknown> = Promise.resolve();
/** The revision that one's own last change gave a feature: the next one rests on it, though the answer may not be drawn yet. */
const revs = new Map<string, number>();
const listeners = new Set<() => void>();

function change(next: Partial<Saves>) {
  saves = { ...saves, ...next, serial: saves.serial + 1 };
  const first = saves.failures[0];
  setUnstored(first ? { n: saves.failures.length, sae: first.step.sae } : null);
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useSaves = (): Saves => useSyncExternalStore(subscribe, () => saves);
export const readSaves = (): Saves => saves;

function inLine<T>(work: () => Promise<T>): Promise<T> {
  const result = line.then(work);
  line = result.catch(() => undefined);
  return result;
}

const keyOf = (sae: string, feature: number) => `${sae} ${feature}`;
const revOf = (sae: string, feature: number, seen: number) => Math.max(seen, revs.get(keyOf(sae, feature)) ?? 0);

function keep(sae: string, labels: FeatureLabels) {
  revs.set(keyOf(sae, labels.feature_index), labels.rev);
  keepLabels(client, sae, labels, "ask later");
}

/** Shows what will be and sends it; it is told by `failures` where it could not be stored. */
export function save(step: Step) {
  const { sae, feature, seen, decision } = step;
  if (decision.action === "accept") keepLabels(client, sae, judged(seen, decision.label.id, "accepted"), "ask later");
  if (decision.action === "reject") keepLabels(client, sae, judged(seen, decision.label.id, "rejected"), "ask later");
  change({ waiting: [...saves.waiting, step], failures: saves.failures.filter((failure) => failure.step.feature !== feature || failure.step.sae !== sae) });
  void inLine(() => send(step));
}

async function send(step: Step) {
  if (!saves.waiting.includes(step)) return; // it was taken back before its turn came
  sending = step;
  const failures: Failure[] = [];
  try {
    const { labels } = await post<Reviewed>(`saes/${step.sae}/features/${step.feature}/reviews`, bodyOf(step), { run: step.run });
    keep(step.sae, labels);
  } catch (error) {
    failures.push({ step, error: error as Error });
    showWhatIs(step);
  } finally {
    sending = null;
    change({ waiting: saves.waiting.filter((other) => other !== step), failures: [...saves.failures, ...failures] });
  }
}

/** Not what was hoped for but what there is. */
function showWhatIs({ sae, feature, seen }: Step) {
  keepLabels(client, sae, seen, "ask later");
  void readAgain(client, sae, feature);
}

function bodyOf({ sae, feature, reviewer, seen, decision }: Step): Record<string, unknown> {
  const who = { action: decision.action, reviewer, expected_rev: revOf(sae, feature, seen.rev) };
  if (decision.action === "accept") return { ...who, label_id: decision.label.id };
  if (decision.action === "reject") return { ...who, label_id: decision.label.id, reason: decision.reason || null };
  if (decision.action === "skip") return who;
  const { semantic_label, category_label, explanation } = decision.written;
  return { ...who, semantic_label, category_label: category_label || null, explanation: explanation || null };
}

export function forget(failure: Failure) {
  change({ failures: saves.failures.filter((other) => other !== failure) });
}

export const retry = ({ step }: Failure) => save(step);

/** What was taken back: a step of the journal, or one that had not been sent yet. */
export type Undone = { feature: number; reviewed: Reviewed | null; step: Step | null };

/** Takes the newest step back; a step that is still waiting is never sent. Fails where the server says so. */
export function undo(sae: string, reviewer: string, leaveOvertaken: boolean): Promise<Undone> {
  const last = saves.waiting.findLast((step) => step.sae === sae) ?? null;
  if (last && last !== sending) {
    change({ waiting: saves.waiting.filter((step) => step !== last) });
    showWhatIs(last);
    return Promise.resolve({ feature: last.feature, reviewed: null, step: last });
  }
  return inLine(async () => {
    // One that failed meanwhile needs no undoing, and the one before it was not meant.
    if (last && saves.failures.some((failure) => failure.step === last)) return { feature: last.feature, reviewed: null, step: last };
    const reviewed = await post<Reviewed>(`saes/${sae}/reviews/undo`, { reviewer, leave_overtaken: leaveOvertaken });
    keep(sae, reviewed.labels);
    change({});
    return { feature: reviewed.action.feature_index, reviewed, step: null };
  });
}

/** Stars a feature, or takes the star away; fails where the server says so. */
export function star(feature: Feature, is_favorite: boolean): Promise<FeatureLabels> {
  const { sae, feature_index: index, labels } = feature;
  keepLabels(client, sae.uid, { ...labels, is_favorite }, "ask later");
  return inLine(async () => {
    try {
      const stored = await post<FeatureLabels>(`saes/${sae.uid}/features/${index}/favorite`, { is_favorite, expected_rev: revOf(sae.uid, index, labels.rev) });
      keep(sae.uid, stored);
      return stored;
    } catch (error) {
      void readAgain(client, sae.uid, index);
      throw error;
    }
  });
}

// Leaving the page now would lose what is on its way.
window.addEventListener("beforeunload", (event) => {
  if (saves.waiting.length > 0 || saves.failures.length > 0) event.preventDefault();
});
