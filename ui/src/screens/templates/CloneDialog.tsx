import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";

import { post } from "../../api/client";
import type { PromptTemplate } from "../../api/types";
import { Dialog } from "../../parts/Dialog";
import { ErrorNote } from "../../parts/states";

/** A copy under a name of its own. */
export function CloneDialog({ template, version, onClose }: { template: PromptTemplate; version?: number; onClose: () => void }) {
  const [name, setName] = useState(`${template.name} (copy)`);
  const client = useQueryClient();
  const navigate = useNavigate();
  const clone = useMutation({
    mutationFn: () => post<PromptTemplate>(`templates/${template.id}/clone`, { name: name.trim(), version: version ?? null }),
    onSuccess: (made) => {
      void client.invalidateQueries({ queryKey: ["templates"] });
      onClose();
      void navigate({ to: "/templates/$ref", params: { ref: String(made.id) } });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    clone.mutate();
  };
  return (
    <Dialog title={`Clone ${template.name}${version ? `, version ${version}` : ""}`} label={`Clone ${template.name}`} width="440px" onClose={onClose}>
      <form onSubmit={submit} className="space-y-3">
        <label className="block text-xs font-medium">
          Name of the copy
          <input className="field mt-0.5 w-full" required maxLength={255} autoFocus value={name} onChange={(event) => setName(event.target.value)} onFocus={(event) => event.target.select()} />
        </label>
        {clone.isError && <ErrorNote error={clone.error} what="It was not cloned." />}
        <div className="flex justify-end gap-2">
          <button type="button" className="btn" onClick={onClose}>Cancel</button>
          <button type="submit" className="btn btn-main" disabled={clone.isPending || !name.trim()}>{clone.isPending ? "Cloning…" : "Clone"}</button>
        </div>
      </form>
    </Dialog>
  );
}
