import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { versionsQuery } from "../../api/labelingQueries";
import type { PromptEvidence, PromptTemplate, PromptVersion, PromptWording } from "../../api/types";
import { diffLines, hunks } from "../../lib/diff";
import * as format from "../../lib/format";
import { Bones, ErrorNote } from "../../parts/states";

type Props = {
  template: PromptTemplate;
  /** What is written and not saved. */
  draft: PromptWording | null;
  from: number | undefined;
  to: number | undefined;
  onChange: (next: { from?: number | undefined; to?: number | undefined }) => void;
  onTake: (version: PromptVersion) => void;
};

/** Every wording that a template had, and what two of them do not share. */
export function Versions({ template, draft, from, to, onChange, onTake }: Props) {
  const query = useQuery(versionsQuery(String(template.id)));
  if (query.isError && !query.data) return <ErrorNote error={query.error} what="The versions could not be read." retry={() => void query.refetch()} />;
  if (!query.data) return <Bones rows={3} />;
  const versions = query.data.items;
  const newest = versions[0];
  // Without a choice: what one is writing against what is saved, else the newest against the one before.
  const right = versions.find((one) => one.version === to);
  const left = versions.find((one) => one.version === from) ?? (draft && !right ? newest : versions.find((one) => one.version < (right ?? newest)!.version));
  const after = right?.wording ?? draft ?? newest?.wording;
  return (
    <div className="space-y-3">
      <ul className="card divide-y divide-line">
        {versions.map((version) => (
          <li key={version.id} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3.5 py-2 text-sm">
            <span className="num font-medium">Version {version.version}</span>
            <span className="num min-w-0 flex-1 text-xs text-muted">
              <time dateTime={version.created_at} title={version.created_at}>{format.ago(version.created_at)}</time> · {format.plural(version.n_labels, "label")}
              {version.is_stale && version.n_labels > 0 && ", stale"}
              {version === newest && " · in force"}
            </span>
            {version !== newest && <button type="button" className="btn min-h-6 px-2 text-xs" onClick={() => onTake(version)}>Take this wording</button>}
          </li>
        ))}
      </ul>
      {(versions.length > 1 || draft) && (
        <>
          <div className="flex flex-wrap items-center gap-2 text-sm">
            <label className="flex items-center gap-1.5">from
              <select className="field" value={left?.version ?? ""} onChange={(event) => onChange({ from: Number(event.target.value) })}>
                {versions.map((one) => <option key={one.id} value={one.version}>version {one.version}</option>)}
              </select>
            </label>
            <label className="flex items-center gap-1.5">to
              <select className="field" value={right?.version ?? (draft ? "" : newest?.version)} onChange={(event) => onChange({ to: event.target.value ? Number(event.target.value) : undefined })}>
                {draft && <option value="">what is written now</option>}
                {versions.map((one) => <option key={one.id} value={one.version}>version {one.version}</option>)}
              </select>
            </label>
          </div>
          {left && after && <WordingDiff before={left.wording} after={after} />}
        </>
      )}
    </div>
  );
}

export function WordingDiff({ before, after }: { before: PromptWording; after: PromptWording }) {
  const numbers = (Object.keys(after.evidence) as (keyof PromptEvidence)[]).filter((name) => before.evidence[name] !== after.evidence[name]);
  const isSame = before.system_text === after.system_text && before.user_text === after.user_text && numbers.length === 0;
  if (isSame) return <p className="text-sm text-muted">They say the same.</p>;
  return (
    <div className="space-y-3">
      <TextDiff name="System text" before={before.system_text} after={after.system_text} />
      <TextDiff name="User text" before={before.user_text} after={after.user_text} />
      {numbers.length > 0 && (
        <div>
          <h3 className="eyebrow mb-1">Evidence</h3>
          <ul className="num text-sm">{numbers.map((name) => <li key={name}><code className="text-xs">{name}</code> {before.evidence[name]} → {after.evidence[name]}</li>)}</ul>
        </div>
      )}
    </div>
  );
}

const SIGNS = { same: " ", gone: "−", new: "+" } as const;
const LOOKS = { same: "text-muted", gone: "bg-bad-wash", new: "bg-ok-wash" } as const;

function TextDiff({ name, before, after }: { name: string; before: string; after: string }) {
  const found = useMemo(() => hunks(diffLines(before, after)), [before, after]);
  if (found.length === 0) return null;
  return (
    <div>
      <h3 className="eyebrow mb-1">{name}</h3>
      <div className="overflow-hidden rounded-lg border border-line font-mono text-xs leading-[1.6]">
        {found.map(({ lines, nSkipped }, i) => (
          <div key={i}>
            {nSkipped > 0 && <p className="border-y border-line bg-raised px-3 font-sans text-muted first:border-t-0">{format.plural(nSkipped, "equal line")}</p>}
            {lines.map((line) => (
              <div key={`${line.before} ${line.after}`} className={`flex gap-2 px-3 ${LOOKS[line.kind]}`}>
                <span className="num w-7 shrink-0 text-right text-muted select-none" aria-hidden>{line.after ?? line.before}</span>
                <span className="w-3 shrink-0 select-none" aria-hidden>{SIGNS[line.kind]}</span>
                {line.kind !== "same" && <span className="sr-only">{line.kind === "gone" ? "taken out: " : "added: "}</span>}
                <span className="min-w-0 flex-1 whitespace-pre-wrap [overflow-wrap:anywhere]">{line.text || " "}</span>
              </div>
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}
