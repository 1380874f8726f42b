import { useState, type FormEvent } from "react";

import { trimmed, type Written } from "../../lib/candidates";
import { LabelFields } from "../../parts/LabelFields";

type Props = { sae: string; from: Written; isEdit: boolean; onSave: (written: Written) => void; onCancel: () => void };

/** A label in the reviewer's words, empty or from a candidate. */
export function WriteForm({ sae, from, isEdit, onSave, onCancel }: Props) {
  const [written, setWritten] = useState(from);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (written.semantic_label.trim()) onSave(trimmed(written));
  };
  return (
    <form onSubmit={submit} className="space-y-2" aria-label={isEdit ? "Edit the label" : "A label of your own"} onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      <LabelFields sae={sae} value={written} onChange={setWritten} />
      <div className="flex items-center gap-1.5">
        <button type="submit" className="btn btn-main" disabled={!written.semantic_label.trim()} title="Save and go on (Enter, or x outside of the fields)">Save</button>
        <button type="button" className="btn" onClick={onCancel} title="Leave the form (Esc)">Cancel</button>
        <span className="ml-auto text-xs text-muted max-sm:hidden">Enter saves, Esc leaves</span>
      </div>
    </form>
  );
}
