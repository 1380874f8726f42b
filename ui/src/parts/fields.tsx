import { useEffect, useId, useRef, useState, type ReactNode } from "react";

import { readNumber, type NumberField } from "../lib/labeling";

const CALM_MS = 350;

type FieldProps = { label: string; hint?: ReactNode; problem?: string | undefined; className?: string; children: (ids: { id: string; hintId: string | undefined }) => ReactNode };

/** A control with its name above and what it means below. */
export function Field({ label, hint, problem, className = "", children }: FieldProps) {
  const id = useId();
  const hintId = hint || problem ? `${id}-hint` : undefined;
  return (
    <div className={`min-w-0 ${className}`}>
      <label htmlFor={id} className="block text-xs font-medium">{label}</label>
      {children({ id, hintId })}
      {hintId && <p id={hintId} className={`mt-0.5 text-xs ${problem ? "text-bad" : "text-muted"}`}>{problem ?? hint}</p>}
    </div>
  );
}

/**
 * What is typed, told on when typing rests, on Enter and on leaving. `onSettle` answers with the value as it took it, null
 * where it did not. What comes from outside replaces the draft; what was told by it does not, as one types on meanwhile.
 */
export function useDraft(value: string, onSettle: (value: string) => string | null) {
  const [draft, setDraft] = useState(value);
  const [seen, setSeen] = useState(value);
  const [told, setTold] = useState<string | null>(null);
  const latest = useRef(onSettle);
  useEffect(() => {
    latest.current = onSettle;
  });
  if (seen !== value) {
    setSeen(value);
    if (value !== told) setDraft(value);
  }
  useEffect(() => {
    if (draft === value) return undefined;
    const timer = window.setTimeout(() => setTold(latest.current(draft)), CALM_MS);
    return () => window.clearTimeout(timer);
  }, [draft, value]);
  const settle = () => {
    if (draft !== value) setTold(latest.current(draft));
  };
  return { draft, setDraft, settle };
}

type TextProps = { label: string; hint?: ReactNode; value: string; placeholder?: string; className?: string; onChange: (value: string) => void };

export function TextField({ label, hint, value, placeholder, className, onChange }: TextProps) {
  const { draft, setDraft, settle } = useDraft(value, (next) => {
    onChange(next.trim());
    return next.trim();
  });
  return (
    <Field label={label} hint={hint} {...(className ? { className } : {})}>
      {({ id, hintId }) => (
        <input
          id={id} className="field mt-0.5 w-full" value={draft} placeholder={placeholder} spellCheck={false} autoComplete="off" autoCapitalize="off" aria-describedby={hintId}
          onChange={(event) => setDraft(event.target.value)} onBlur={settle} onKeyDown={(event) => event.key === "Enter" && settle()}
        />
      )}
    </Field>
  );
}

type NumberProps = { field: NumberField; value: string | undefined; onChange: (value: string | undefined) => void };

/** A number as text: empty means the default, and what is none is said so and not taken. */
export function NumberInput({ field, value, onChange }: NumberProps) {
  const read = (typed: string) => (typed.trim() === "" ? undefined : readNumber(typed, field.kind));
  const { draft, setDraft, settle } = useDraft(value ?? "", (typed) => {
    const n = read(typed);
    if (n === null) return null;
    const taken = n === undefined ? undefined : String(n);
    onChange(taken);
    return taken ?? "";
  });
  const isWrong = read(draft) === null;
  return (
    <Field label={field.label} hint={field.hint} problem={isWrong ? (field.kind === "whole" ? "expected a whole number" : "expected a number") : undefined}>
      {({ id, hintId }) => (
        <input
          id={id} className="field num mt-0.5 w-full" inputMode={field.kind === "whole" ? "numeric" : "decimal"} autoComplete="off" value={draft}
          placeholder={field.usual === undefined ? undefined : String(field.usual)} aria-describedby={hintId} aria-invalid={isWrong}
          onChange={(event) => setDraft(event.target.value)} onBlur={settle} onKeyDown={(event) => event.key === "Enter" && settle()}
        />
      )}
    </Field>
  );
}

export function Check({ label, hint, isOn, onChange }: { label: string; hint?: ReactNode; isOn: boolean; onChange: (isOn: boolean) => void }) {
  const id = useId();
  return (
    <div className="flex gap-2">
      <input id={id} type="checkbox" className="mt-0.5 size-4 shrink-0 accent-fg" checked={isOn} aria-describedby={hint ? `${id}-hint` : undefined} onChange={(event) => onChange(event.target.checked)} />
      <div className="min-w-0 text-sm">
        <label htmlFor={id}>{label}</label>
        {hint && <p id={`${id}-hint`} className="text-xs text-muted">{hint}</p>}
      </div>
    </div>
  );
}
