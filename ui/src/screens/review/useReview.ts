import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";

import { stepsQuery, type Queue } from "../../api/reviewQueries";
import { forget, retry, save, star, undo, useSaves, type Decision, type Failure } from "../../api/saves";
import type { Feature, JournalEntry, Label } from "../../api/types";
import { candidatesOf, chosenOf, leavesAnother, type Written } from "../../lib/candidates";
import { decide, goTo, neighbour, reopen, type Done } from "../../lib/desk";
import { announce } from "../../lib/live";
import { useStable } from "../../lib/useStable";
import { editForm, type Form, type OpenForm } from "./FeatureDesk";
import { decisionWords, isConflict, stepWords } from "./Notices";
import { useAround, useDesk } from "./useDesk";

/** What Undo met with: a label that somebody else has judged since, nothing that is left, or an error. */
export type Trouble = { overtaken: JournalEntry } | { nothing: true } | { error: Error; what: string };

const doneOf = (decision: Decision): Done => {
  if (decision.action === "skip") return { verb: "skipped", text: null };
  if (decision.action === "write") return { verb: "wrote", text: decision.written.semantic_label };
  return { verb: decision.action === "accept" ? "accepted" : "rejected", text: decision.label.semantic_label };
};

const inWords = ({ verb, text }: Done): string => `${verb.charAt(0).toUpperCase()}${verb.slice(1)}${text === null ? "" : ` “${text}”`}.`;

/** What was typed for a decision that could not be stored. */
function formOf(decision: Decision): Form | null {
  if (decision.action === "write") return { kind: "write", from: decision.from, written: decision.written };
  return decision.action === "reject" ? { kind: "reject", label: decision.label, reason: decision.reason } : null;
}

function describe(feature: Feature | undefined): string {
  if (!feature) return "";
  const candidates = candidatesOf(feature.labels);
  const text = chosenOf(candidates, undefined)?.semantic_label;
  return ` Feature ${feature.feature_index}, ${text ? `“${text}”` : "no label"}, ${candidates.length === 1 ? "1 candidate" : `${candidates.length} candidates`}.`;
}

let nForms = 0;
const opened = (feature: number, form: Form): OpenForm => ({ feature, form, number: ++nForms });

/** A key that was meant for the feature before must not decide about one that has just come back by itself. */
const HELD_MS = 500;

/** Failures that a desk has brought back already, whichever desk that was. */
const broughtBack = new WeakSet<Failure>();

type Options = { queue: Queue; sae: string; run: string | undefined; reviewer: string; at: number | undefined };

/** Everything that a reviewer can do, and what there is to see of it. */
export function useReview({ queue, sae, run, reviewer, at }: Options) {
  const client = useQueryClient();
  const saves = useSaves();
  const uid = queue.run.sae;
  const [desk, change] = useDesk(queue, at);
  const around = useAround(desk, sae, run);
  const [chosen, setChosen] = useState<Record<number, number>>({});
  const [lastOpen, setOpen] = useState<OpenForm | null>(null);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const heldUntil = useRef(0);
  const failures = useMemo(() => saves.failures.filter(({ step }) => step.sae === uid), [saves.failures, uid]);

  const featureOf = (id: number | null) => around.find((one) => one.id === id)?.query.data;
  const feature = featureOf(desk.at);
  const open = lastOpen !== null && lastOpen.feature === desk.at ? lastOpen : null;
  const candidates = feature ? candidatesOf(feature.labels) : [];
  const label = chosenOf(candidates, feature && chosen[feature.feature_index]);

  const isHeld = () => performance.now() < heldUntil.current;
  const begin = (next: Form) => feature && !isHeld() && setOpen(opened(feature.feature_index, next));
  /** What was typed for the feature one comes to, where it could not be stored. */
  const openTyped = (id: number | null) => {
    const typed = failures.find(({ step }) => step.feature === id)?.step.decision;
    const next = typed ? formOf(typed) : null;
    setOpen(next && id !== null ? opened(id, next) : null);
  };
  const bringBack = ({ step }: Failure) => {
    change((before) => reopen(before, step.feature));
    openTyped(step.feature);
  };
  const act = (decision: Decision, stays = false) => {
    if (!feature) return;
    const id = feature.feature_index;
    save({ sae: uid, run, feature: id, reviewer, seen: feature.labels, decision });
    setTrouble(null);
    setChosen(({ [id]: _, ...others }) => others);
    const next = stays ? desk : decide(desk, id, doneOf(decision), failures.map(({ step }) => step.feature));
    change(() => next);
    openTyped(stays ? null : next.at);
    announce(`${inWords(doneOf(decision))}${stays ? " Another candidate is left." : next.at === null ? " Queue done." : describe(featureOf(next.at))}`);
  };
  const look = (to: number | null, told: string) => {
    if (to === null) return announce(told);
    change((before) => goTo(before, to));
    announce(describe(featureOf(to)).trim());
  };

  const takeBack = async () => {
    const leaves = trouble !== null && "overtaken" in trouble;
    try {
      const { feature: back, reviewed, step } = await undo(uid, reviewer, leaves);
      const what = reviewed ? stepWords(reviewed.action) : step ? inWords(doneOf(step.decision)) : "";
      setTrouble(null);
      setOpen(null);
      change((before) => reopen(before, back));
      announce(`Taken back: ${what} Feature ${back}.`);
    } catch (error) {
      setTrouble(isConflict(error as Error) ? await whyNot(leaves) : { error: error as Error, what: "The step was not taken back." });
    }
  };
  const whyNot = async (leaves: boolean): Promise<Trouble> => {
    const steps = leaves ? null : await client.fetchQuery(stepsQuery(sae, reviewer)).catch(() => null);
    const entry = steps?.items.find(({ undone_at }) => undone_at === null);
    announce(entry ? "Somebody has judged that label since. Press u again to leave it and take back the step before." : "Nothing is left to take back.");
    return entry ? { overtaken: entry } : { nothing: true };
  };

  const deeds = useStable({
    accept: () => {
      if (isHeld()) return;
      if (label) act({ action: "accept", label });
      else announce("There is nothing to accept; n writes a label.");
    },
    edit: () => label && begin(editForm(label)),
    write: () => begin(editForm(null)),
    reject: () => label && label.review_state !== "rejected" && begin({ kind: "reject", label, reason: "" }),
    skip: () => isHeld() || act({ action: "skip" }),
    undo: () => void takeBack(),
    choose: (next: Label) => {
      setChosen((before) => ({ ...before, [next.feature_index]: next.id }));
      announce(`Chosen: “${next.semantic_label}”.`);
    },
    chooseNumber: (number: number) => {
      const found = candidates[number - 1];
      if (found) deeds.choose(found.label);
      else announce(`There is no candidate ${number}.`);
    },
    star: () => {
      if (!feature) return;
      const isFavorite = !feature.labels.is_favorite;
      announce(isFavorite ? "Marked as a favourite." : "No favourite any more.");
      star(feature, isFavorite).catch((error: Error) => setTrouble({ error, what: "The favourite was not stored." }));
    },
    saveWritten: (written: Written, from: Label | null) => act({ action: "write", written, from }),
    saveReject: (wrong: Label, reason: string) => act({ action: "reject", label: wrong, reason }, leavesAnother(candidates, wrong)),
    closeForm: () => {
      setOpen(null);
      document.getElementById("main")?.focus({ preventScroll: true });
      const waiting = failures.find(({ step }) => step.feature !== desk.at);
      if (waiting && !failures.some(({ step }) => step.feature === desk.at)) bringBack(waiting);
    },
    goTo: (id: number) => {
      look(id, "");
      openTyped(id);
    },
    lookAhead: () => look(neighbour(desk, 1), "This is the last one."),
    lookBack: () => look(neighbour(desk, -1), "This is the first one."),
    retryAll: () => {
      const again = failures.filter(({ error }) => !isConflict(error));
      setOpen(null);
      change((before) => again.reduce((so, { step }) => decide(so, step.feature, doneOf(step.decision)), before));
      for (const failure of again) retry(failure);
    },
    forget: (failure: Failure) => forget(failure),
    clearTrouble: () => setTrouble(null),
  });

  // What could not be stored comes back on screen, with what was typed: one after the other, and not while one writes.
  useEffect(() => {
    const fresh = failures.filter((failure) => !broughtBack.has(failure));
    if (fresh.length === 0) return;
    const isOccupied = open !== null || failures.some((failure) => broughtBack.has(failure) && failure.step.feature === desk.at);
    for (const failure of fresh) broughtBack.add(failure);
    announce(`Not stored: ${decisionWords(fresh[0]!.step.decision)}, feature ${fresh[0]!.step.feature}.`);
    if (isOccupied) {
      const failed = new Set(fresh.map(({ step }) => step.feature));
      change((before) => ({ ...before, done: new Map([...before.done].filter(([id]) => !failed.has(id))) }));
      return;
    }
    heldUntil.current = performance.now() + HELD_MS;
    for (const failure of fresh.toReversed()) bringBack(failure);
    // Only what is new among the failures matters here.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [failures]);

  return { uid, desk, around, chosen, open, trouble, failures, saves, feature, deeds };
}

export type Review = ReturnType<typeof useReview>;
