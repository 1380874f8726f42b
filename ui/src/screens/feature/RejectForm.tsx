import { useState, type FormEvent } from "react";

import type { Label } from "../../api/types";

export function RejectForm({ label, isBusy, onReject, onCancel }: { label: Label; isBusy: boolean; onReject: (reason: string) => void; onCancel: () => void }) {
  const [reason, setReason] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onReject(reason.trim());
  };
  return (
    <form onSubmit={submit} className="space-y-2" onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      <label className="block text-xs font-medium">
        Why is “{label.semantic_label}” wrong? <span className="font-normal text-muted">(may stay empty)</span>
        <input className="field mt-0.5 w-full" autoFocus maxLength={2000} value={reason} onChange={(event) => setReason(event.target.value)} />
      </label>
      <div className="flex gap-1.5">
        <button type="submit" className="btn btn-main" disabled={isBusy}>Reject</button>
        <button type="button" className="btn" onClick={onCancel}>Cancel</button>
      </div>
    </form>
  );
}
