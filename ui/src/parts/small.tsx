import { Ban, Bot, CircleCheck, CircleDashed, CircleX, Download, Ruler, UserRound, BookOpenText } from "lucide-react";
import type { ReactNode } from "react";

import type { Job, LabelBrief } from "../api/types";
import * as format from "../lib/format";

const SOURCES = {
  human: { icon: UserRound, text: "written by a person" },
  llm: { icon: Bot, text: "written by a language model" },
  rule: { icon: Ruler, text: "made by a rule" },
  lexical: { icon: BookOpenText, text: "made from the tokens it fires on" },
  imported: { icon: Download, text: "imported" },
} as const;

export function SourceGlyph({ source, size = 13 }: { source: LabelBrief["source"]; size?: number }) {
  const { icon: Icon, text } = SOURCES[source];
  return <Icon size={size} className="shrink-0 text-muted" role="img" aria-label={`Label ${text}`} />;
}

const REVIEWS = {
  accepted: { icon: CircleCheck, tone: "text-ok" },
  rejected: { icon: CircleX, tone: "text-bad" },
  unreviewed: { icon: CircleDashed, tone: "text-muted" },
} as const;

export function ReviewGlyph({ state, size = 13 }: { state: LabelBrief["review_state"]; size?: number }) {
  const { icon: Icon, tone } = REVIEWS[state];
  return <Icon size={size} className={`shrink-0 ${tone}`} role="img" aria-label={state} />;
}

const FLAGS: Record<string, string> = {
  dead: "never fires on a counted position",
  dense: "fires on more than 10 % of counted positions",
  sink_only: "fires on excluded positions only",
  duplicate: "fires at exactly the same positions as an earlier feature",
  null: "a random direction, taken along as a control",
};

export function Flag({ name, tip = true }: { name: string; tip?: boolean }) {
  return (
    <span
      className="inline-flex items-center gap-1 rounded-full border border-line px-1.5 text-xs leading-[18px] text-muted"
      data-tip={tip ? FLAGS[name] : undefined}
      tabIndex={tip ? 0 : undefined}
    >
      {name === "dead" && <Ban size={10} aria-hidden />} {format.words(name)}
    </span>
  );
}

export function TokenChip({ token, children }: { token: string; children?: ReactNode }) {
  return (
    <span className="inline-flex max-w-40 min-w-0 items-baseline gap-1 rounded border border-line bg-raised px-1 text-xs leading-[18px] font-normal">
      <span className="truncate font-mono" dir="auto">{format.visibleToken(token)}</span>
      {children}
    </span>
  );
}

const STATES: Record<Job["state"], string> = {
  queued: "bg-raised text-muted",
  running: "bg-run-wash text-run",
  paused: "bg-raised text-fg",
  succeeded: "bg-ok-wash text-ok",
  failed: "bg-bad-wash text-bad",
  cancelled: "bg-raised text-muted",
};

export function StateBadge({ state }: { state: Job["state"] }) {
  return <span className={`rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap ${STATES[state]}`}>{state}</span>;
}

/** A bar where the total is known, else a text alone. */
export function Progress({ done, total, label }: { done: number; total: number | null; label: string }) {
  const share = total ? Math.min(1, done / total) : null;
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={share === null ? undefined : Math.round(share * 100)}
      className="h-1.5 w-full overflow-hidden rounded-full bg-raised"
    >
      <div
        className={`h-full rounded-full bg-run ${share === null ? "w-1/3 animate-pulse" : "transition-[width] duration-300"}`}
        style={share === null ? undefined : { width: `${share * 100}%` }}
      />
    </div>
  );
}

/** A number with its formula, denominator and source one hover or one Tab away. */
export function Num({ children, tip, className = "" }: { children: ReactNode; tip: string; className?: string }) {
  return (
    <span className={`num ${className}`} data-tip={tip} tabIndex={0}>{children}</span>
  );
}

/** Choices of which one holds, as buttons in a row. */
export function Segmented<T extends string>(props: {
  label: string;
  value: T;
  options: readonly { value: T; text: ReactNode; title?: string }[];
  onChange: (value: T) => void;
}) {
  return (
    <div className="seg" role="group" aria-label={props.label}>
      {props.options.map(({ value, text, title }) => (
        <button key={value} type="button" aria-pressed={props.value === value} title={title} onClick={() => props.onChange(value)}>
          {text}
        </button>
      ))}
    </div>
  );
}
