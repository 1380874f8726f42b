import { CircleAlert, RotateCw } from "lucide-react";
import type { ReactNode } from "react";

import { ApiError } from "../api/client";
import { Copy } from "./Copy";

/** Grey shapes in place of what loads; they show after 150 ms only. */
export function Bones({ rows = 3, className = "h-5" }: { rows?: number; className?: string }) {
  return (
    <div className="late space-y-2" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} className={`bone ${className}`} style={{ width: `${94 - ((i * 17) % 40)}%` }} />
      ))}
    </div>
  );
}

export function causeOf(error: Error): string {
  return error instanceof ApiError && error.problem ? error.problem.detail : error.message;
}

function detailsOf(error: Error): string {
  if (!(error instanceof ApiError)) return `${error.name}: ${error.message}`;
  return JSON.stringify({ url: error.url, status: error.status, problem: error.problem }, null, 1);
}

/** What went wrong, in a sentence, and what can be done. */
export function ErrorNote({ error, retry, what }: { error: Error; retry?: () => void; what?: string }) {
  return (
    <div role="alert" className="flex items-start gap-2.5 rounded-lg bg-bad-wash px-3 py-2.5 text-sm">
      <CircleAlert size={16} className="mt-0.5 shrink-0 text-bad" aria-hidden />
      <div className="min-w-0 flex-1">
        {what && <strong className="block font-semibold">{what}</strong>}
        <span className="[overflow-wrap:anywhere]">{causeOf(error)}</span>
        <div className="mt-1.5 flex gap-2">
          {retry && (
            <button type="button" className="btn" onClick={retry}><RotateCw size={13} aria-hidden /> Try again</button>
          )}
          <Copy text={detailsOf(error)} label="Copy details" />
        </div>
      </div>
    </div>
  );
}

export function Empty({ title, level = 2, children }: { title: string; level?: 1 | 2; children?: ReactNode }) {
  const Heading = level === 1 ? "h1" : "h2";
  return (
    <div className="mx-auto max-w-xl px-4 py-12 text-center">
      <Heading className="text-base">{title}</Heading>
      <div className="mt-2 text-sm text-muted">{children}</div>
    </div>
  );
}
