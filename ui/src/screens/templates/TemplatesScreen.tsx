import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Download, Ellipsis, Plus, Star, Upload } from "lucide-react";
import { useRef, useState } from "react";

import { ApiError, apiUrl, post, remove, type Schemas } from "../../api/client";
import { templatesQuery } from "../../api/labelingQueries";
import type { PromptTemplate } from "../../api/types";
import * as format from "../../lib/format";
import { announce } from "../../lib/live";
import { useTitle } from "../../lib/title";
import { Dialog } from "../../parts/Dialog";
import { Menu } from "../../parts/Menu";
import { Bones, Empty, ErrorNote } from "../../parts/states";
import { CloneDialog } from "./CloneDialog";

export type Act = { template: PromptTemplate; verb: "default" | "favorite" | "delete" };

/** Changes of a template that need no editor; afterwards the list and the template are read again. */
export function useTemplateAct(onDone?: (act: Act) => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async ({ template, verb }: Act) => {
      if (verb === "delete") await remove(`templates/${template.id}`);
      else await post(`templates/${template.id}/${verb}`, verb === "favorite" ? { is_favorite: !template.is_favorite } : {});
    },
    onSuccess: (_, act) => {
      announce(act.verb === "delete" ? `${act.template.name} is deleted` : act.verb === "default" ? `${act.template.name} is the default` : `${act.template.name} is ${act.template.is_favorite ? "no" : "a"} favourite`);
      onDone?.(act);
    },
    onSettled: () => {
      for (const name of ["templates", "template"]) void client.invalidateQueries({ queryKey: [name] });
    },
  });
}

export const exportUrl = (refs: number[] = []): string => {
  const url = apiUrl("templates/export");
  for (const ref of refs) url.searchParams.append("template", String(ref));
  return url.href;
};

export function TemplatesScreen() {
  useTitle("Templates");
  const query = useQuery(templatesQuery);
  const navigate = useNavigate();
  const [cloned, setCloned] = useState<PromptTemplate | null>(null);
  const [condemned, setCondemned] = useState<PromptTemplate | null>(null);
  const act = useTemplateAct(() => setCondemned(null));
  const templates = query.data?.items ?? [];
  return (
    <div className="mx-auto max-w-5xl px-4 py-5 sm:px-6">
      <header className="mb-2 flex flex-wrap items-center gap-2">
        <h1 className="mr-auto text-lg">Templates</h1>
        <ImportButton />
        {templates.length > 0 && <a href={exportUrl()} download="featlas-templates.json" className="btn"><Download size={14} aria-hidden /> Export all</a>}
        <Link to="/templates/new" className="btn btn-main"><Plus size={15} aria-hidden /> New template</Link>
      </header>
      <p className="mb-4 max-w-2xl text-sm text-muted">What a language model is asked about a feature: two texts with variables in braces, and how much evidence they show.</p>
      {query.isError && <div className="mb-3"><ErrorNote error={query.error} what="The templates could not be read." retry={() => void query.refetch()} /></div>}
      {act.isError && !condemned && <div className="mb-3"><ErrorNote error={act.error} what="The template was not changed." /></div>}
      {query.isPending && <Bones rows={4} className="h-16" />}
      {query.isSuccess && templates.length === 0 && <Empty title="There are no templates"><p>Those that come with Featlas are added when the server starts; a new one can be written now.</p></Empty>}
      {templates.length > 0 && (
        <ul className="card divide-y divide-line">
          {templates.map((template) => (
            <li key={template.uid} className="flex items-start gap-3 px-3.5 py-3" aria-label={template.name}>
              <button type="button" className="btn btn-quiet mt-px px-1" aria-pressed={template.is_favorite} aria-label={`Favourite: ${template.name}`} title={template.is_favorite ? "No favourite any more" : "Make it a favourite"} disabled={act.isPending} onClick={() => act.mutate({ template, verb: "favorite" })}>
                <Star size={16} className={template.is_favorite ? "fill-current text-fg" : ""} aria-hidden />
              </button>
              <div className="min-w-0 flex-1">
                <p className="flex flex-wrap items-center gap-x-2 gap-y-0.5">
                  <Link to="/templates/$ref" params={{ ref: String(template.id) }} className="font-medium hover:underline [overflow-wrap:anywhere]">{template.name}</Link>
                  {template.is_default && <Badge>default</Badge>}
                  {template.is_shipped && <Badge tip="It came with Featlas: it can be edited, but keeps its name and stays.">comes with Featlas</Badge>}
                </p>
                {template.description && <p className="text-sm text-muted">{template.description}</p>}
                <p className="num mt-0.5 text-xs text-muted">
                  version {template.version} · used by {format.plural(template.usage_count, "job")} · changed <time dateTime={template.updated_at} title={template.updated_at}>{format.ago(template.updated_at)}</time>
                </p>
              </div>
              <Menu
                className="btn btn-quiet px-1.5" label={`More for ${template.name}`} title="More" trigger={<Ellipsis size={16} aria-hidden />}
                items={[
                  { key: "edit", label: "Edit", run: () => void navigate({ to: "/templates/$ref", params: { ref: String(template.id) } }) },
                  { key: "clone", label: "Clone…", run: () => setCloned(template) },
                  ...(template.is_default ? [] : [{ key: "default", label: "Make it the default", run: () => act.mutate({ template, verb: "default" as const }) }]),
                  { key: "export", label: "Export as JSON", run: () => location.assign(exportUrl([template.id])) },
                  ...(template.is_shipped || template.is_default ? [] : [{ key: "delete", label: "Delete…", run: () => setCondemned(template) }]),
                ]}
              />
            </li>
          ))}
        </ul>
      )}
      {cloned && <CloneDialog template={cloned} onClose={() => setCloned(null)} />}
      {condemned && <DeleteDialog template={condemned} error={act.error} isBusy={act.isPending} onClose={() => { act.reset(); setCondemned(null); }} onDelete={() => act.mutate({ template: condemned, verb: "delete" })} />}
    </div>
  );
}

function Badge({ children, tip }: { children: string; tip?: string }) {
  return <span className="rounded-full border border-line px-1.5 text-xs leading-[18px] text-muted" data-tip={tip} tabIndex={tip ? 0 : undefined}>{children}</span>;
}

type DeleteProps = { template: PromptTemplate; error: Error | null; isBusy: boolean; onDelete: () => void; onClose: () => void };

export function DeleteDialog({ template, error, isBusy, onDelete, onClose }: DeleteProps) {
  return (
    <Dialog title={`Delete ${template.name}?`} label={`Delete ${template.name}`} width="440px" onClose={onClose}>
      <p className="text-sm">All {format.plural(template.n_versions, "version")} of it will be gone. A template that labels were made with stays, because they refer to its wording.</p>
      {error && <div className="mt-3"><ErrorNote error={error} what="It was not deleted." /></div>}
      <div className="mt-4 flex justify-end gap-2">
        <button type="button" className="btn" onClick={onClose}>Keep it</button>
        <button type="button" className="btn btn-main" disabled={isBusy} onClick={onDelete}>{isBusy ? "Deleting…" : "Delete"}</button>
      </div>
    </Dialog>
  );
}

/** Templates of a file; where names are taken nothing is written, and one is asked whether they get a new version. */
function ImportButton() {
  const client = useQueryClient();
  const field = useRef<HTMLInputElement>(null);
  const [file, setFile] = useState<{ name: string; content: unknown } | null>(null);
  const [unreadable, setUnreadable] = useState<Error | null>(null);
  const imported = useMutation({
    mutationFn: ({ content, update }: { content: unknown; update: boolean }) => post<Schemas["PromptTemplates"]>("templates/import", content, update ? { update: "true" } : {}),
    onSuccess: ({ items }) => {
      announce(`${format.plural(items.length, "template")} imported`);
      void client.invalidateQueries({ queryKey: ["templates"] });
      void client.invalidateQueries({ queryKey: ["template"] });
    },
  });
  const read = async (chosen: File | undefined) => {
    if (!chosen) return;
    setUnreadable(null);
    imported.reset();
    try {
      const content: unknown = JSON.parse(await chosen.text());
      setFile({ name: chosen.name, content });
      imported.mutate({ content, update: false });
    } catch {
      setFile({ name: chosen.name, content: null });
      setUnreadable(new Error("It is no JSON; expected a file as “Export” writes it."));
    }
  };
  const close = () => {
    setFile(null);
    imported.reset();
  };
  const isTaken = imported.error instanceof ApiError && imported.error.status === 409;
  const error = unreadable ?? imported.error;
  return (
    <>
      <button type="button" className="btn" onClick={() => field.current?.click()}><Upload size={14} aria-hidden /> Import</button>
      <input
        ref={field} type="file" accept=".json,application/json" hidden aria-label="File of templates"
        onChange={(event) => {
          void read(event.target.files?.[0]);
          event.target.value = ""; // the same file may be chosen again
        }}
      />
      {file && (error || imported.isSuccess) && (
        <Dialog title={`Import of ${file.name}`} label="Import" width="480px" onClose={close}>
          {error && <ErrorNote error={error} what="Nothing was imported." />}
          {imported.isSuccess && (
            <>
              <p className="text-sm">Imported:</p>
              <ul className="mt-1 space-y-0.5 text-sm">
                {imported.data.items.map((template) => <li key={template.uid}><Link to="/templates/$ref" params={{ ref: String(template.id) }} className="font-medium underline">{template.name}</Link> <span className="num text-muted">version {template.version}</span></li>)}
              </ul>
            </>
          )}
          <div className="mt-4 flex justify-end gap-2">
            {isTaken && <button type="button" className="btn btn-main" disabled={imported.isPending} onClick={() => imported.mutate({ content: file.content, update: true })}>Give those a new version</button>}
            <button type="button" className="btn" onClick={close}>Close</button>
          </div>
        </Dialog>
      )}
    </>
  );
}
