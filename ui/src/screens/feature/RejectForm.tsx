import { useState, type FormEvent } from "react";

import type { Label } from "../../api/types";
import { keepReason, readReasons } from "../../lib/kept";
import { SuggestField } from "../../parts/SuggestField";

type Props = { label: Label; isBusy: boolean; reason?: string; onReject: (reason: string) => void; onCancel: () => void };

/** Why a label is wrong, in a line; what was said before is offered again. */
export function RejectForm({ label, isBusy, reason: before = "", onReject, onCancel }: Props) {
  const [reason, setReason] = useState(before);
  const [reasons] = useState(readReasons);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    keepReason(reason.trim());
    onReject(reason.trim());
  };
  const typed = reason.trim().toLowerCase();
  return (
    <form onSubmit={submit} className="space-y-2" aria-label="Reject" onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      <div className="text-xs font-medium">
        Why is “{label.semantic_label}” wrong? <span className="font-normal text-muted">(may stay empty)</span>
        <SuggestField
          label={`Why is “${label.semantic_label}” wrong?`} value={reason} autoFocus maxLength={2000} onChange={setReason} {...(reasons.length ? { placeholder: "↓ offers the last reasons" } : {})}
          offers={reasons.filter((other) => other.toLowerCase().includes(typed)).map((text) => ({ text }))}
        />
      </div>
      <div className="flex gap-1.5">
        <button type="submit" className="btn btn-main" disabled={isBusy} title="Reject (Enter)">Reject</button>
        <button type="button" className="btn" onClick={onCancel} title="Leave it (Esc)">Cancel</button>
      </div>
    </form>
  );
}
