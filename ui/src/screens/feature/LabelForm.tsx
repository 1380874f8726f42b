import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";

import { ApiError, post } from "../../api/client";
import type { Feature, FeatureLabels, Label } from "../../api/types";
import { causeOf, ErrorNote } from "../../parts/states";
import { useKeepLabels } from "./LabelsPanel";

/** A label in a person's words. What was typed stays until it is stored, whatever happens meanwhile. */
export function LabelForm({ feature, from, onDone }: { feature: Feature; from: Label | null; onDone: () => void }) {
  const [semantic, setSemantic] = useState(from?.semantic_label ?? "");
  const [category, setCategory] = useState(from?.category_label ?? "");
  const [explanation, setExplanation] = useState(from?.explanation ?? "");
  const keep = useKeepLabels(feature);
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: () =>
      post<FeatureLabels>(
        `saes/${encodeURIComponent(feature.sae.uid)}/features/${feature.feature_index}/labels`,
        { semantic_label: semantic.trim(), category_label: category.trim() || null, explanation: explanation.trim() || null, expected_rev: feature.labels.rev },
        { run: feature.run.id },
      ),
    onSuccess: (labels) => {
      keep(labels);
      onDone();
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 409) void client.invalidateQueries({ queryKey: ["feature", feature.sae.uid] });
    },
  });
  const isConflict = save.error instanceof ApiError && save.error.status === 409;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit} className="space-y-2" aria-label="A label of your own" onKeyDown={(event) => event.key === "Escape" && onDone()}>
      <label className="block text-xs font-medium">
        Label
        <input className="field mt-0.5 w-full" required maxLength={200} value={semantic} autoFocus placeholder="two to eight words" onChange={(event) => setSemantic(event.target.value)} />
      </label>
      <label className="block text-xs font-medium">
        Category
        <input className="field mt-0.5 w-full" maxLength={200} value={category} placeholder="Language > Syntax" onChange={(event) => setCategory(event.target.value)} />
      </label>
      <label className="block text-xs font-medium">
        Explanation
        <textarea className="field mt-0.5 w-full" rows={2} maxLength={4000} value={explanation} placeholder="a sentence, if the label needs one" onChange={(event) => setExplanation(event.target.value)} />
      </label>
      {save.isError && !isConflict && <ErrorNote error={save.error} what="The label was not stored." />}
      {save.error && isConflict && (
        <p role="alert" className="rounded-lg bg-bad-wash px-2.5 py-2 text-xs">
          {causeOf(save.error)} Below is what is there now; what you wrote is still here. Save again to put it over that.
        </p>
      )}
      <div className="flex gap-1.5">
        <button type="submit" className="btn btn-main" disabled={save.isPending || !semantic.trim()}>{save.isPending ? "Saving…" : "Save"}</button>
        <button type="button" className="btn" onClick={onDone}>Cancel</button>
      </div>
    </form>
  );
}
