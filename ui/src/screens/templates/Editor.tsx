import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useBlocker } from "@tanstack/react-router";
import { CircleCheck, Save } from "lucide-react";
import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { ApiError, get, patch, post } from "../../api/client";
import { checkQuery } from "../../api/labelingQueries";
import type { PromptTemplate, PromptVariables, PromptWording } from "../../api/types";
import { plural } from "../../lib/format";
import { announce } from "../../lib/live";
import type { TemplateSearch } from "../../lib/search";
import { useSettled } from "../../lib/useSettled";
import { changesOf, draftOf, sameDraft, sameWording, type Draft } from "../../lib/wording";
import { Dialog } from "../../parts/Dialog";
import { ErrorNote } from "../../parts/states";
import { Preview } from "./Preview";
import { EvidenceNumbers, VariableList } from "./Variables";
import { Versions, WordingDiff } from "./Versions";
import { insertAt, WordingArea } from "./WordingArea";

type Props = {
  /** The template as it is saved; null for a new one, which begins as `start`. */
  saved: PromptTemplate | null;
  start: Draft;
  language: PromptVariables;
  search: TemplateSearch;
  actions?: ReactNode;
  onSearch: (next: TemplateSearch) => void;
  onCreated: (template: PromptTemplate) => void;
};

const isNewer = (a: PromptTemplate, b: PromptTemplate): boolean => a.version > b.version || (a.version === b.version && Date.parse(a.updated_at) > Date.parse(b.updated_at));

const isConflict = (error: Error | null): boolean => error instanceof ApiError && error.status === 409;

/** A template being written. Nothing that was typed is lost: not to another's save, not to a click elsewhere. */
export function Editor({ saved, start, language, search, actions, onSearch, onCreated }: Props) {
  const client = useQueryClient();
  const [base, setBase] = useState(saved);
  const [draft, setDraft] = useState<Draft>(start);
  const [theirs, setTheirs] = useState<PromptTemplate | null>(null);
  const isDirty = !sameDraft(draft, base ? draftOf(base) : start);
  // Somebody's save is taken over at once while nothing is written here, and told where something is.
  if (saved && base && isNewer(saved, base)) {
    if (!isDirty) {
      setBase(saved);
      setDraft(draftOf(saved));
    } else if (saved.version > base.version && theirs?.version !== saved.version) setTheirs(saved);
  }
  const keep = (template: PromptTemplate) => {
    setTheirs(null);
    setBase(template);
    client.setQueryData(["template", String(template.id), 0], template);
    for (const name of ["templates", "template", "template-versions"]) void client.invalidateQueries({ queryKey: [name] });
  };
  const isLeaving = useRef(false);
  const save = useMutation({
    mutationFn: async (over: PromptTemplate | null) => {
      if (!base) return post<PromptTemplate>("templates", { ...draft, name: draft.name.trim(), description: draft.description.trim() });
      const known = over ?? base;
      return patch<PromptTemplate>(`templates/${base.id}`, { ...changesOf(draft, draftOf(known)), expected_version: known.version });
    },
    onSuccess: (template) => {
      announce(`Saved as version ${template.version}`);
      isLeaving.current = base === null;
      keep(template);
      setDraft(draftOf(template));
      if (!base) onCreated(template);
    },
    onError: async (error) => {
      if (!base || !isConflict(error)) return;
      const now = await get<PromptTemplate>(`templates/${base.id}`).catch(() => null);
      if (now && now.version !== base.version) setTheirs(now);
    },
  });

  const wording = draft.wording;
  const settled = useSettled(wording);
  const check = useQuery(checkQuery(settled));
  const isChecked = check.data !== undefined && !check.isPlaceholderData && settled === wording;
  const problems = check.data?.problems ?? [];
  const [good, setGood] = useState<PromptWording | null>(null);
  if (check.data && !check.isPlaceholderData && problems.length === 0 && good !== settled) setGood(settled);
  const canSave = isDirty && draft.name.trim() !== "" && !(isChecked && problems.length > 0) && !save.isPending;
  const saveNow = () => {
    if (canSave && !theirs) save.mutate(null);
  };
  useSaveKey(saveNow);
  const blocker = useBlocker({
    shouldBlockFn: ({ current, next }) => isDirty && !isLeaving.current && current.pathname !== next.pathname,
    enableBeforeUnload: () => isDirty,
    withResolver: true,
  });

  const fields = { system: useRef<HTMLTextAreaElement>(null), user: useRef<HTMLTextAreaElement>(null) };
  const [last, setLast] = useState<"system" | "user">("user");
  const known = useMemo(() => new Set(language.variables.map(({ name }) => name)), [language]);
  const used = new Set(check.data?.variables ?? []);
  const change = (next: Partial<PromptWording>) => setDraft((before) => ({ ...before, wording: { ...before.wording, ...next } }));
  const area = (name: "system" | "user") => ({ known, most: language.max_characters, field: fields[name], onFocus: () => setLast(name) });
  return (
    <article aria-label="Template" className="space-y-5">
      <header className="top-0 z-20 -mx-4 flex flex-wrap items-end gap-3 border-b border-line bg-bg px-4 py-2.5 sm:sticky sm:-mx-6 sm:px-6">
        <label className="min-w-0 flex-1 basis-44 text-xs font-medium">
          Name
          <input
            className="field mt-0.5 w-full text-sm font-semibold read-only:bg-raised" required maxLength={255} autoFocus={base === null} value={draft.name} readOnly={base?.is_shipped === true}
            title={base?.is_shipped ? "It came with Featlas and keeps its name; clone it under another" : undefined} onChange={(event) => setDraft({ ...draft, name: event.target.value })}
          />
        </label>
        <label className="min-w-0 flex-[2] basis-64 text-xs font-medium">
          What it is for
          <input className="field mt-0.5 w-full" maxLength={2000} value={draft.description} onChange={(event) => setDraft({ ...draft, description: event.target.value })} />
        </label>
        <div className="flex flex-wrap items-center gap-2">
          {actions}
          <button type="button" className="btn btn-main" onClick={saveNow} disabled={!canSave || theirs !== null} title="Save (Ctrl+S)"><Save size={14} aria-hidden /> {save.isPending ? "Saving…" : base ? "Save" : "Create"}</button>
        </div>
        <p className="num basis-full text-xs text-muted" role="status">
          {base ? `version ${base.version}, used by ${plural(base.usage_count, "job")}` : "a new template"}{isDirty ? " · not saved yet" : base ? " · saved" : ""}{base && isDirty && !sameWording(wording, base.wording) && `; saving makes version ${(theirs ?? base).version + 1}`}
        </p>
      </header>
      {save.isError && !theirs && <ErrorNote error={save.error} what="It was not saved; what you wrote is still here." />}
      {theirs && base && (
        <Conflict
          base={base} theirs={theirs} isBusy={save.isPending} onOver={() => save.mutate(theirs)}
          onTake={() => {
            keep(theirs);
            setDraft(draftOf(theirs));
          }}
        />
      )}
      <div className="grid items-start gap-x-8 gap-y-6 xl:grid-cols-[minmax(0,1fr)_minmax(0,1fr)]">
        <div className="min-w-0 space-y-5">
          <WordingArea {...area("system")} label="System text" hint="who is asked, and how" rows={6} value={wording.system_text} onChange={(system_text) => change({ system_text })} />
          <WordingArea {...area("user")} label="User text" hint="what is asked" rows={10} value={wording.user_text} onChange={(user_text) => change({ user_text })} />
          <Problems problems={problems} isChecked={isChecked} error={check.error} />
          <section aria-label="Variables">
            <h2 className="mb-1.5 text-sm">Variables <span className="font-normal text-muted">a click inserts one into the {last} text</span></h2>
            <div className="card overflow-hidden"><VariableList variables={language.variables} used={used} onInsert={(name) => { const field = fields[last].current; if (field) insertAt(field, `{${name}}`); }} /></div>
          </section>
          <section aria-label="Evidence">
            <h2 className="mb-1.5 text-sm">How much is shown</h2>
            <EvidenceNumbers numbers={language.evidence} value={wording.evidence} onChange={(evidence) => change({ evidence })} />
          </section>
        </div>
        <div className="min-w-0 space-y-6">
          <section aria-label="Preview">
            <Preview wording={good} isOld={isChecked && problems.length > 0} run={search.run} feature={search.at} onRun={(run) => onSearch({ run, at: undefined })} onFeature={(at) => onSearch({ at })} />
          </section>
          {base && (
            <section aria-label="Versions">
              <h2 className="mb-1.5 text-sm">Versions</h2>
              <Versions template={base} draft={sameWording(wording, base.wording) ? null : wording} from={search.from} to={search.to} onChange={onSearch} onTake={(version) => change(version.wording)} />
            </section>
          )}
        </div>
      </div>
      {blocker.status === "blocked" && (
        <Dialog title="Leave without saving?" label="Leave without saving" width="420px" onClose={blocker.reset}>
          <p className="text-sm">What you changed in {draft.name.trim() || "the new template"} is not saved.</p>
          <div className="mt-4 flex justify-end gap-2">
            <button type="button" className="btn btn-main" onClick={blocker.reset}>Stay</button>
            <button type="button" className="btn" onClick={blocker.proceed}>Leave and lose it</button>
          </div>
        </Dialog>
      )}
    </article>
  );
}

/** Ctrl+S, which works while one writes: the registry's keys do not. */
function useSaveKey(save: () => void) {
  const latest = useRef(save);
  useEffect(() => {
    latest.current = save;
  });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      latest.current();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, []);
}

function Problems({ problems, isChecked, error }: { problems: string[]; isChecked: boolean; error: Error | null }) {
  const [shown, setShown] = useState<string[]>([]);
  useEffect(() => {
    if (isChecked) setShown(problems);
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [isChecked, problems.join("\n")]);
  if (error) return <ErrorNote error={error} what="It could not be checked." />;
  return (
    <div role="status" aria-label="Check" className="text-sm">
      {shown.length === 0 ? (
        <p className="flex items-center gap-1.5 text-muted">{isChecked && <CircleCheck size={14} className="text-ok" aria-hidden />} {isChecked ? "Nothing is wrong with it." : "Checking…"}</p>
      ) : (
        <div className="rounded-lg bg-bad-wash px-3.5 py-2.5">
          <p className="font-medium">It cannot be saved like this:</p>
          <ul className="mt-1 list-disc space-y-0.5 pl-5">{shown.map((problem) => <li key={problem} className="[overflow-wrap:anywhere]">{problem}</li>)}</ul>
        </div>
      )}
    </div>
  );
}

type ConflictProps = { base: PromptTemplate; theirs: PromptTemplate; isBusy: boolean; onOver: () => void; onTake: () => void };

/** Two people wrote at once: both wordings are there, and one decides. */
function Conflict({ base, theirs, isBusy, onOver, onTake }: ConflictProps) {
  return (
    <section role="alert" aria-label="Changed meanwhile" className="space-y-3 rounded-lg bg-bad-wash px-4 py-3">
      <p className="text-sm"><strong className="font-semibold">Version {theirs.version} was saved meanwhile.</strong> What you wrote is still here, and nothing of yours was saved. This is what they changed:</p>
      <div className="rounded-lg bg-surface p-3"><WordingDiff before={base.wording} after={theirs.wording} /></div>
      <div className="flex flex-wrap gap-2">
        <button type="button" className="btn btn-main" disabled={isBusy} onClick={onOver}>Save mine over it, as version {theirs.version + 1}</button>
        <button type="button" className="btn" disabled={isBusy} onClick={onTake}>Take theirs, drop mine</button>
      </div>
    </section>
  );
}
