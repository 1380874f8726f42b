import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Check, ClipboardCheck, History, Pencil, X } from "lucide-react";
import { useState } from "react";

import { post } from "../../api/client";
import { keepLabels, readAgain } from "../../api/labels";
import type { Feature, FeatureLabels, Label } from "../../api/types";
import { causeWords } from "../../lib/causes";
import * as format from "../../lib/format";
import { lintText } from "../../lib/lint";
import { ReviewGlyph, SourceGlyph } from "../../parts/small";
import { ErrorNote } from "../../parts/states";
import { LabelForm } from "./LabelForm";
import { Panel } from "./Panel";
import { Provenance } from "./Provenance";
import { RejectForm } from "./RejectForm";

export type Decision = { label: Label; verb: "accept" | "reject" | "restore"; reason?: string };

/** After a change of labels: the page shows the new state at once, lists ask again. */
export function useKeepLabels(feature: Feature) {
  const client = useQueryClient();
  return (labels: FeatureLabels) => keepLabels(client, feature.sae.uid, labels);
}

export function LabelsPanel({ feature }: { feature: Feature }) {
  const { labels } = feature;
  const [editing, setEditing] = useState<Label | "new" | null>(null);
  const [rejecting, setRejecting] = useState<Label | null>(null);
  const keep = useKeepLabels(feature);
  const client = useQueryClient();
  const review = useMutation({
    mutationFn: ({ label, verb, reason }: Decision) => post<FeatureLabels>(`labels/${label.id}/${verb}`, { expected_rev: labels.rev, ...(reason ? { reason } : {}) }),
    onSuccess: (next) => {
      keep(next);
      setRejecting(null);
    },
    // Somebody else was faster: show what they did before one decides again.
    onError: () => void readAgain(client, feature.sae.uid, feature.feature_index),
  });
  const decide = (decision: Decision) => review.mutate(decision);
  const others = labels.items.filter((label) => label.id !== labels.current?.id);
  return (
    <Panel
      title="Label"
      aside={editing === null && (
        <>
          {labels.current?.review_state === "unreviewed" && <Link className="btn btn-quiet -my-1 text-xs" to="/s/$sae/review" params={{ sae: feature.sae.uid }} search={{ run: String(feature.run.id), at: feature.feature_index }} title="Nobody has judged it yet: to its place in the review queue"><ClipboardCheck size={12} aria-hidden /> Review</Link>}
          <button type="button" className="btn btn-quiet -my-1 text-xs" onClick={() => setEditing(labels.current ?? "new")}><Pencil size={12} aria-hidden /> {labels.current ? "Edit" : "Write one"}</button>
        </>
      )}
    >
      <div className="card divide-y divide-line">
        {editing !== null && <div className="p-3"><LabelForm feature={feature} from={editing === "new" ? null : editing} onDone={() => setEditing(null)} /></div>}
        {labels.current ? (
          <LabelEntry label={labels.current} isBusy={review.isPending} onDecide={decide} onReject={setRejecting} isCurrent />
        ) : editing === null && (
          <p className="p-3 text-sm text-muted">{labels.items.length ? "No label is in force." : "It has no label yet."}</p>
        )}
        {rejecting && <div className="p-3"><RejectForm label={rejecting} isBusy={review.isPending} onCancel={() => setRejecting(null)} onReject={(reason) => decide({ label: rejecting, verb: "reject", reason })} /></div>}
        {review.isError && <div className="p-3"><ErrorNote error={review.error} what="The decision was not stored." /></div>}
        {others.length > 0 && (
          <details className="group">
            <summary className="flex items-center gap-1.5 px-3 py-2 text-xs text-muted hover:text-fg"><History size={13} aria-hidden /> {format.plural(others.length, "other label")}</summary>
            <div className="divide-y divide-line border-t border-line">
              {others.map((label) => <LabelEntry key={label.id} label={label} isBusy={review.isPending} onDecide={decide} onReject={setRejecting} />)}
            </div>
          </details>
        )}
      </div>
    </Panel>
  );
}

type EntryProps = { label: Label; isBusy: boolean; isCurrent?: boolean; onDecide: (decision: Decision) => void; onReject: (label: Label) => void };

function LabelEntry({ label, isBusy, isCurrent = false, onDecide, onReject }: EntryProps) {
  const isText = label.semantic_label !== null;
  const isRejected = label.review_state === "rejected";
  return (
    <article className="px-3 py-2.5">
      <div className="flex items-start gap-1.5">
        <span className="mt-1"><SourceGlyph source={label.source} /></span>
        <p className={`min-w-0 flex-1 text-sm [overflow-wrap:anywhere] ${isRejected ? "text-muted line-through" : "font-medium"}`}>
          {label.semantic_label ?? <span className="font-normal text-muted">{label.status === "abstained" ? "abstained: the evidence says nothing" : `failed: ${causeWords(label.failure_cause ?? "no cause is known").what.toLowerCase()}`}</span>}
        </p>
        <span className="mt-1"><ReviewGlyph state={label.review_state} /></span>
      </div>
      {label.category_label && <p className="mt-0.5 text-xs text-muted">{label.category_label}</p>}
      {label.explanation && <p className="mt-1 text-sm">{label.explanation}</p>}
      {label.lint.length > 0 && <p className="mt-1 text-xs text-bad">{label.lint.map(lintText).join("; ")}</p>}
      {isRejected && label.reject_reason && <p className="mt-1 text-xs text-muted">Rejected: {label.reject_reason}</p>}
      <Provenance label={label} />
      <div className="mt-1.5 flex flex-wrap gap-1">
        {isText && label.review_state !== "accepted" && <button type="button" className="btn min-h-6 px-2 text-xs" disabled={isBusy} onClick={() => onDecide({ label, verb: "accept" })}><Check size={12} aria-hidden /> Accept</button>}
        {isText && !isRejected && <button type="button" className="btn min-h-6 px-2 text-xs" disabled={isBusy} onClick={() => onReject(label)}><X size={12} aria-hidden /> Reject</button>}
        {isText && !isCurrent && <button type="button" className="btn min-h-6 px-2 text-xs" disabled={isBusy} onClick={() => onDecide({ label, verb: "restore" })}>Restore</button>}
      </div>
    </article>
  );
}
