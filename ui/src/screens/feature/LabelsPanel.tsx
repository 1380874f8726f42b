import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Check, History, Pencil, X } from "lucide-react";
import { useState } from "react";

import { post } from "../../api/client";
import type { Feature, FeatureLabels, Label } from "../../api/types";
import * as format from "../../lib/format";
import { ReviewGlyph, SourceGlyph } from "../../parts/small";
import { ErrorNote } from "../../parts/states";
import { LabelForm } from "./LabelForm";
import { Panel } from "./Panel";
import { RejectForm } from "./RejectForm";

export type Decision = { label: Label; verb: "accept" | "reject" | "restore"; reason?: string };

/** After a change of labels: the page shows the new state at once, lists ask again. */
export function useKeepLabels(feature: Feature) {
  const client = useQueryClient();
  return (labels: FeatureLabels) => {
    client.setQueriesData<Feature>(
      { predicate: ({ queryKey: [kind, sae, , index] }) => kind === "feature" && sae === feature.sae.uid && index === feature.feature_index },
      (before) => before && { ...before, labels },
    );
    for (const name of ["matches", "facets", "row", "runs"]) void client.invalidateQueries({ queryKey: [name], refetchType: name === "row" ? "none" : "active" });
  };
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
    onError: () => void client.invalidateQueries({ queryKey: ["feature", feature.sae.uid] }),
  });
  const decide = (decision: Decision) => review.mutate(decision);
  const others = labels.items.filter((label) => label.id !== labels.current?.id);
  return (
    <Panel
      title="Label"
      aside={editing === null && <button type="button" className="btn btn-quiet -my-1 text-xs" onClick={() => setEditing(labels.current ?? "new")}><Pencil size={12} aria-hidden /> {labels.current ? "Edit" : "Write one"}</button>}
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
          {label.semantic_label ?? <span className="font-normal text-muted">{label.status === "abstained" ? "abstained: the evidence says nothing" : "failed"}</span>}
        </p>
        <span className="mt-1"><ReviewGlyph state={label.review_state} /></span>
      </div>
      {label.category_label && <p className="mt-0.5 text-xs text-muted">{label.category_label}</p>}
      {label.explanation && <p className="mt-1 text-sm">{label.explanation}</p>}
      {label.lint.length > 0 && <p className="mt-1 text-xs text-bad">{label.lint.join("; ")}</p>}
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

function Provenance({ label }: { label: Label }) {
  const who = label.source === "human" ? (label.created_by ?? "a person") : [label.provider ?? label.source, label.model].filter(Boolean).join(", ");
  const details = [
    `source: ${label.source}`,
    label.evidence_run !== null && `evidence: run ${label.evidence_run}`,
    label.job !== null && `job ${label.job}`,
    label.confidence !== null && `confidence ${format.value(label.confidence)}`,
    label.created_at,
    label.evidence && JSON.stringify(label.evidence).slice(0, 400),
  ].filter((line): line is string => typeof line === "string");
  return (
    <p className="mt-1 text-xs text-muted" data-tip={details.join("\n")} tabIndex={0}>
      by {who} · {format.ago(label.created_at)}
      {label.confidence !== null && ` · confidence ${format.percent(label.confidence)}`}
    </p>
  );
}
