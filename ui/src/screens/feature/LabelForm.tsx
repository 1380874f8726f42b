import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";

import { ApiError, post } from "../../api/client";
import { readAgain } from "../../api/labels";
import type { Feature, FeatureLabels, Label } from "../../api/types";
import { trimmed, writtenFrom } from "../../lib/candidates";
import { LabelFields } from "../../parts/LabelFields";
import { causeOf, ErrorNote } from "../../parts/states";
import { useKeepLabels } from "./LabelsPanel";

/** A label in a person's words. What was typed stays until it is stored, whatever happens meanwhile. */
export function LabelForm({ feature, from, onDone }: { feature: Feature; from: Label | null; onDone: () => void }) {
  const [written, setWritten] = useState(() => writtenFrom(from));
  const keep = useKeepLabels(feature);
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: () => {
      const { semantic_label, category_label, explanation } = trimmed(written);
      return post<FeatureLabels>(
        `saes/${encodeURIComponent(feature.sae.uid)}/features/${feature.feature_index}/labels`,
        { semantic_label, category_label: category_label || null, explanation: explanation || null, expected_rev: feature.labels.rev },
        { run: feature.run.id },
      );
    },
    onSuccess: (labels) => {
      keep(labels);
      onDone();
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 409) void readAgain(client, feature.sae.uid, feature.feature_index);
    },
  });
  const isConflict = save.error instanceof ApiError && save.error.status === 409;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit} className="space-y-2" aria-label="A label of your own" onKeyDown={(event) => event.key === "Escape" && onDone()}>
      <LabelFields sae={feature.sae.uid} value={written} onChange={setWritten} />
      {save.isError && !isConflict && <ErrorNote error={save.error} what="The label was not stored." />}
      {save.error && isConflict && (
        <p role="alert" className="rounded-lg bg-bad-wash px-2.5 py-2 text-xs">
          {causeOf(save.error)} Below is what is there now; what you wrote is still here. Save again to put it over that.
        </p>
      )}
      <div className="flex gap-1.5">
        <button type="submit" className="btn btn-main" disabled={save.isPending || !written.semantic_label.trim()}>{save.isPending ? "Saving…" : "Save"}</button>
        <button type="button" className="btn" onClick={onDone}>Cancel</button>
      </div>
    </form>
  );
}
