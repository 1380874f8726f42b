import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronDown, Pencil, Star } from "lucide-react";

import { templatesQuery } from "../../api/labelingQueries";
import type { PromptTemplate } from "../../api/types";
import { Menu } from "../../parts/Menu";
import { Bones, ErrorNote } from "../../parts/states";

/** A template as a spec names it: by its name, or by its uid where the name could be read as something else. */
const refOf = (template: PromptTemplate): string => (template.name.includes("@") ? template.uid : template.name);

function findTemplate(templates: PromptTemplate[], ref: string | undefined): PromptTemplate | undefined {
  if (ref === undefined) return templates.find((one) => one.is_default);
  const bare = ref.split("@")[0];
  return templates.find((one) => one.uid === bare || one.name === bare || String(one.id) === bare);
}

/** Which words are used: a menu of the templates, and the way to change them. */
export function TemplateChoice({ value, onChange }: { value: string | undefined; onChange: (ref: string | undefined) => void }) {
  const query = useQuery(templatesQuery);
  if (query.isError && !query.data) return <ErrorNote error={query.error} what="The templates could not be read." retry={() => void query.refetch()} />;
  if (!query.data) return <Bones rows={1} className="h-8" />;
  const chosen = findTemplate(query.data.items, value);
  const version = value?.split("@")[1];
  const title = `${chosen?.name ?? value ?? "none"}${version ? ` version ${version}` : ""}`;
  return (
    <div>
      <div className="flex gap-1.5">
        <Menu
          align="start" className="btn min-w-0 flex-1 justify-between" label={`Template: ${title}`}
          trigger={
            <>
              <span className="truncate">{title}</span>
              <ChevronDown size={14} className="shrink-0 text-muted" aria-hidden />
            </>
          }
          items={query.data.items.map((one) => ({
            key: one.uid, isChosen: one.id === chosen?.id, run: () => onChange(one.is_default ? undefined : refOf(one)),
            label: (
              <span className="block min-w-0">
                <TemplateName template={one} />
                {one.description && <span className="block text-xs text-muted">{one.description}</span>}
              </span>
            ),
          }))}
        />
        {chosen && (
          <Link to="/templates/$ref" params={{ ref: String(chosen.id) }} className="btn" title="See and change its wording"><Pencil size={13} aria-hidden /> Edit</Link>
        )}
      </div>
      <p className="mt-1 text-xs text-muted">{chosen ? `${chosen.is_default ? "The default. " : ""}${chosen.description}` : "There is no such template any more."}</p>
    </div>
  );
}

function TemplateName({ template }: { template: PromptTemplate }) {
  return (
    <span className="flex min-w-0 items-center gap-1.5">
      <span className="truncate font-medium">{template.name}</span>
      {template.is_favorite && <Star size={12} className="shrink-0 fill-current" role="img" aria-label="favourite" />}
      {template.is_default && <span className="shrink-0 rounded-full border border-line px-1.5 text-xs leading-[16px] font-normal text-muted">default</span>}
    </span>
  );
}
