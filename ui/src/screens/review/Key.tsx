/** The key that does the same, beside or on its control. */
export function Key({ text, onMain = false }: { text: string; onMain?: boolean }) {
  return (
    <kbd aria-hidden className={`num mt-px inline-flex h-[18px] min-w-[18px] shrink-0 items-center justify-center rounded border px-1 text-xs ${onMain ? "border-current" : "border-line bg-raised text-muted"}`}>{text}</kbd>
  );
}
