import { useMemo, type Ref } from "react";

import { whole } from "../../lib/format";
import { cutVariables } from "../../lib/wording";

type Props = { label: string; value: string; known: ReadonlySet<string>; most: number; field: Ref<HTMLTextAreaElement>; rows: number; hint?: string; onChange: (text: string) => void; onFocus: () => void };

const LOOK = "col-start-1 row-start-1 m-0 block min-w-0 px-3 py-2.5 font-mono text-xs leading-[1.6] whitespace-pre-wrap break-words [tab-size:4]";

/** A text in mono that grows with what is written; the same text lies behind it and marks its variables. */
export function WordingArea({ label, value, known, most, field, rows, hint, onChange, onFocus }: Props) {
  const pieces = useMemo(() => cutVariables(value, known), [value, known]);
  const isTooLong = value.length > most;
  return (
    <label className="block">
      <span className="flex items-baseline justify-between gap-2">
        <span className="text-xs font-medium">{label}{hint && <span className="ml-2 font-normal text-muted">{hint}</span>}</span>
        <span className={`num text-xs ${isTooLong ? "text-bad" : "text-muted"}`} aria-hidden>{whole(value.length)}{isTooLong && ` of at most ${whole(most)}`} characters</span>
      </span>
      <span className="mt-0.5 grid rounded-lg border border-edge bg-surface">
        <span aria-hidden className={`${LOOK} text-transparent select-none forced-colors:invisible`}>
          {pieces.map((piece, i) => (piece.kind === "plain" ? piece.text : (
            <span key={i} className={`rounded-[3px] ${piece.kind === "known" ? "bg-data-wash outline outline-line" : "bg-bad-wash underline decoration-bad decoration-wavy underline-offset-3"}`}>{piece.text}</span>
          )))}
          {"\n\u200b"}
        </span>
        <textarea
          ref={field} rows={rows} value={value} spellCheck={false} autoComplete="off" autoCapitalize="off" aria-label={label} aria-invalid={isTooLong || pieces.some((piece) => piece.kind === "unknown")}
          className={`${LOOK} resize-none overflow-hidden rounded-lg bg-transparent`} onChange={(event) => onChange(event.target.value)} onFocus={onFocus}
        />
      </span>
    </label>
  );
}

/** Puts a text where the cursor is, as typing does: so that it can be undone. */
export function insertAt(field: HTMLTextAreaElement, text: string) {
  field.focus();
  if (document.execCommand("insertText", false, text)) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
