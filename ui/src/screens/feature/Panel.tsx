import type { ReactNode } from "react";

export function Panel({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <header className="mb-1.5 flex items-baseline justify-between gap-2">
        <h2 className="text-sm">{title}</h2>
        {aside && <div className="num text-xs text-muted">{aside}</div>}
      </header>
      {children}
    </section>
  );
}
