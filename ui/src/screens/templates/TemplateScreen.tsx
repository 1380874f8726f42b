import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Ellipsis } from "lucide-react";
import { useState } from "react";

import { ApiError } from "../../api/client";
import { templateQuery, variablesQuery } from "../../api/labelingQueries";
import type { PromptEvidence, PromptTemplate, PromptVariables } from "../../api/types";
import type { TemplateSearch } from "../../lib/search";
import { useTitle } from "../../lib/title";
import { draftOf, STARTER, type Draft } from "../../lib/wording";
import { Menu } from "../../parts/Menu";
import { Bones, Empty, ErrorNote } from "../../parts/states";
import { CloneDialog } from "./CloneDialog";
import { Editor } from "./Editor";
import { DeleteDialog, exportUrl, useTemplateAct } from "./TemplatesScreen";

const route = getRouteApi("/templates/$ref");
const newRoute = getRouteApi("/templates/new");

export function TemplateScreen() {
  const { ref } = route.useParams();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const query = useQuery(templateQuery(ref));
  const language = useQuery(variablesQuery);
  const template = query.data;
  useTitle(template ? template.name : "Template");
  if (query.isError && !template) {
    return query.error instanceof ApiError && query.error.status === 404
      ? <Empty level={1} title={`There is no template ${ref}`}><p>{query.error.message}</p><p className="mt-3"><Link to="/templates" className="btn">All templates</Link></p></Empty>
      : <div className="p-6"><ErrorNote error={query.error} what="The template could not be read." retry={() => void query.refetch()} /></div>;
  }
  if (language.isError && !language.data) return <div className="p-6"><ErrorNote error={language.error} what="The variables could not be read." retry={() => void language.refetch()} /></div>;
  if (!template || !language.data) return <div className="grid gap-6 p-6 lg:grid-cols-2"><Bones rows={8} className="h-12" /><Bones rows={8} className="h-12" /></div>;
  return (
    <Page title={template.name}>
      {query.isError && <ErrorNote error={query.error} retry={() => void query.refetch()} />}
      <Editor
        key={template.id} saved={template} start={draftOf(template)} language={language.data} search={search} actions={<Actions template={template} />}
        onSearch={(next: TemplateSearch) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true })} onCreated={() => {}}
      />
    </Page>
  );
}

export function NewTemplateScreen() {
  useTitle("New template");
  const search = newRoute.useSearch();
  const navigate = newRoute.useNavigate();
  const language = useQuery(variablesQuery);
  if (language.isError && !language.data) return <div className="p-6"><ErrorNote error={language.error} what="The variables could not be read." retry={() => void language.refetch()} /></div>;
  if (!language.data) return <div className="p-6"><Bones rows={8} className="h-12" /></div>;
  return (
    <Page title="New template">
      <Editor
        saved={null} start={starter(language.data)} language={language.data} search={search}
        onSearch={(next: TemplateSearch) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true })}
        onCreated={(made) => void navigate({ to: "/templates/$ref", params: { ref: String(made.id) }, search: { run: search.run, at: search.at }, replace: true })}
      />
    </Page>
  );
}

const starter = ({ evidence }: PromptVariables): Draft => ({
  name: "",
  description: "",
  wording: { ...STARTER, evidence: Object.fromEntries(evidence.map(({ name, default: usual }) => [name, usual])) as PromptEvidence },
});

function Page({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <div className="mx-auto max-w-[1500px] px-4 pt-3 pb-8 sm:px-6">
      <p className="text-xs text-muted"><Link to="/templates" className="hover:underline">Templates</Link> /</p>
      <h1 className="sr-only">{title}</h1>
      {children}
    </div>
  );
}

function Actions({ template }: { template: PromptTemplate }) {
  const navigate = useNavigate();
  const [isCloning, setCloning] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const act = useTemplateAct(({ verb }) => verb === "delete" && void navigate({ to: "/templates", ignoreBlocker: true }));
  return (
    <>
      {act.isError && !isDeleting && <span role="alert" className="text-xs text-bad">{act.error.message}</span>}
      <Menu
        label="More for this template" title="More" className="btn px-1.5" trigger={<Ellipsis size={16} aria-hidden />}
        items={[
          { key: "favorite", label: template.is_favorite ? "No favourite any more" : "Make it a favourite", run: () => act.mutate({ template, verb: "favorite" }) },
          ...(template.is_default ? [] : [{ key: "default", label: "Make it the default", run: () => act.mutate({ template, verb: "default" as const }) }]),
          { key: "clone", label: "Clone…", run: () => setCloning(true) },
          { key: "export", label: "Export as JSON", run: () => download(exportUrl([template.id])) },
          ...(template.is_shipped || template.is_default ? [] : [{ key: "delete", label: "Delete…", run: () => setDeleting(true) }]),
        ]}
      />
      {isCloning && <CloneDialog template={template} onClose={() => setCloning(false)} />}
      {isDeleting && <DeleteDialog template={template} error={act.error} isBusy={act.isPending} onClose={() => { act.reset(); setDeleting(false); }} onDelete={() => act.mutate({ template, verb: "delete" })} />}
    </>
  );
}

/** By a link, because the page itself may hold what is not saved yet. */
function download(url: string) {
  const link = document.createElement("a");
  link.href = url;
  link.download = "featlas-templates.json";
  link.click();
}
