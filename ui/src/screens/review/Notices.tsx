import { CircleAlert, RotateCw, X } from "lucide-react";
import type { ReactNode } from "react";

import { ApiError } from "../../api/client";
import type { Decision, Failure } from "../../api/saves";
import type { FeatureLabels, JournalEntry } from "../../api/types";
import { causeOf } from "../../parts/states";

export const isConflict = (error: Error): boolean => error instanceof ApiError && error.status === 409;

export function decisionWords(decision: Decision): string {
  if (decision.action === "skip") return "skip it";
  if (decision.action === "write") return `write “${decision.written.semantic_label}”`;
  return `${decision.action} “${decision.label.semantic_label}”`;
}

const WORDS: Record<JournalEntry["action"], string> = { accept: "accepted", reject: "rejected", write: "wrote", skip: "skipped" };

export const stepWords = (entry: JournalEntry): string => `${WORDS[entry.action]}${entry.semantic_label === null ? "" : ` “${entry.semantic_label}”`}`;

type Props = {
  failures: Failure[];
  /** The feature on screen, and what there is now of it. */
  at: number | null;
  labels: FeatureLabels | undefined;
  /** Not while something is being written: what failed comes back after that. */
  canGo: boolean;
  onRetry: () => void;
  onGo: (feature: number) => void;
  onForget: (failure: Failure) => void;
};

/** Decisions that could not be stored: what they were, why, and what there is now in their place. */
export function FailureNotices({ failures, at, labels, canGo, onRetry, onGo, onForget }: Props) {
  const conflicts = failures.filter(({ error }) => isConflict(error));
  const others = failures.filter(({ error }) => !isConflict(error));
  return (
    <>
      {conflicts.map((failure) => (
        <Notice key={failure.step.feature} onClose={() => onForget(failure)}>
          <strong className="font-semibold">Somebody else changed #{failure.step.feature} meanwhile.</strong>{" "}
          Your decision, {decisionWords(failure.step.decision)}, was not stored.{" "}
          {failure.step.feature === at ? whatIsThere(labels) : <Go feature={failure.step.feature} canGo={canGo} onGo={onGo} />}
        </Notice>
      ))}
      {others.length > 0 && (
        <Notice onClose={() => others.forEach(onForget)}>
          <strong className="font-semibold">{others.length === 1 ? "A decision was not stored." : `${others.length} decisions were not stored.`}</strong>{" "}
          {causeOf(others[0]!.error)}
          <ul className="mt-1">
            {others.slice(0, 6).map((failure) => (
              <li key={failure.step.feature}>#{failure.step.feature}: {decisionWords(failure.step.decision)} {failure.step.feature !== at && <Go feature={failure.step.feature} canGo={canGo} onGo={onGo} />}</li>
            ))}
            {others.length > 6 && <li>and {others.length - 6} more</li>}
          </ul>
          <button type="button" className="btn mt-1.5" onClick={onRetry}><RotateCw size={13} aria-hidden /> Try again</button>
        </Notice>
      )}
    </>
  );
}

function whatIsThere(labels: FeatureLabels | undefined): string {
  if (!labels) return "Look at it again.";
  const { current } = labels;
  return current ? `In force now: “${current.semantic_label}”, ${current.review_state}. Decide again.` : "No label is in force now. Decide again.";
}

function Go({ feature, canGo, onGo }: { feature: number; canGo: boolean; onGo: (feature: number) => void }) {
  return canGo ? <button type="button" className="underline" onClick={() => onGo(feature)}>Back to #{feature}</button> : <>It comes back next.</>;
}

export function Notice({ children, isBad = true, onClose }: { children: ReactNode; isBad?: boolean; onClose: () => void }) {
  return (
    <div role="alert" className={`flex items-start gap-2.5 rounded-lg px-3 py-2 text-sm ${isBad ? "bg-bad-wash" : "bg-raised"}`}>
      {isBad && <CircleAlert size={16} className="mt-0.5 shrink-0 text-bad" aria-hidden />}
      <div className="min-w-0 flex-1 [overflow-wrap:anywhere]">{children}</div>
      <button type="button" className="flex size-6 shrink-0 items-center justify-center rounded text-muted hover:text-fg" aria-label="Close the message" onClick={onClose}><X size={14} aria-hidden /></button>
    </div>
  );
}
