import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState, type FormEvent, type ReactNode } from "react";

import { post } from "../../api/client";
import { keepJob } from "../../api/stream";
import type { Job } from "../../api/types";
import { extractionCommand, extractionSpec, USUAL, type Extraction } from "../../lib/cli";
import { Command } from "../../parts/Copy";
import { Dialog } from "../../parts/Dialog";
import { ErrorNote } from "../../parts/states";

type FieldProps = { name: string; label: string; hint: string; children: ReactNode };

function Field({ name, label, hint, children }: FieldProps) {
  return (
    <div>
      <label htmlFor={`x-${name}`} className="text-sm font-medium">{label}</label>
      {children}
      <p id={`x-${name}-hint`} className="mt-1 text-xs text-muted">{hint}</p>
    </div>
  );
}

const whole = (text: string): number | null => (/^\d+$/.test(text.replaceAll(/[ ,_]/g, "")) ? Number(text.replaceAll(/[ ,_]/g, "")) : null);

/** Starts an extraction, and shows the command line that does the same. */
export default function ExtractDialog({ onClose }: { onClose: () => void }) {
  const [form, setForm] = useState<Extraction>(USUAL);
  const [texts, setTexts] = useState("");
  const client = useQueryClient();
  const navigate = useNavigate();
  const asked: Extraction = { ...form, text: texts.split("\n").map((line) => line.trim()).filter(Boolean) };
  const start = useMutation({
    mutationFn: () => post<Job>("jobs", { kind: "extraction", spec: extractionSpec(asked) }),
    onSuccess: (job) => {
      keepJob(client, job);
      void navigate({ to: "/jobs/$job", params: { job: String(job.id) } });
    },
  });
  const set = <K extends keyof Extraction>(name: K, value: Extraction[K]) => setForm((before) => ({ ...before, [name]: value }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    start.mutate();
  };
  const plain = (name: "model" | "sae" | "hook_point" | "name", required: boolean) => (
    <input
      id={`x-${name}`} className="field mt-1 w-full" value={form[name]} required={required} spellCheck={false} autoComplete="off"
      aria-describedby={`x-${name}-hint`} onChange={(event) => set(name, event.target.value.trim())}
    />
  );
  return (
    <Dialog title="Extract an SAE" label="Extract an SAE" onClose={onClose} width="680px">
      <form onSubmit={submit} className="space-y-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <Field name="model" label="Model" hint="A local folder, a hub id, or smollm2 for the packaged demo model.">{plain("model", true)}</Field>
          <Field name="sae" label="SAE" hint="Its folder, in SAELens format.">{plain("sae", true)}</Field>
        </div>
        <Field name="text" label="Texts" hint="One per line: files (.txt .jsonl .csv .parquet, also .gz), folders, or data sets as hf:NAME[:CONFIG][@REVISION].">
          <textarea id="x-text" className="field mt-1 w-full" rows={2} required value={texts} spellCheck={false} aria-describedby="x-text-hint" onChange={(event) => setTexts(event.target.value)} />
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field name="hook_point" label="Hook point" hint="As blocks.7.hook_resid_post; empty: from the SAE's config.">{plain("hook_point", false)}</Field>
          <Field name="name" label="Name of the run" hint="Empty makes one.">{plain("name", false)}</Field>
          <Field name="tokens" label="Tokens" hint="Stop after about this many positions; empty reads all texts.">
            <input id="x-tokens" className="field num mt-1 w-full" inputMode="numeric" pattern="[0-9][0-9 ,_]*" title="a whole number" aria-describedby="x-tokens-hint" onChange={(event) => set("tokens", whole(event.target.value))} />
          </Field>
          <Field name="ctx_len" label="Context length" hint="Most tokens in one context, as the SAE was trained.">
            <input id="x-ctx_len" className="field num mt-1 w-full" type="number" min={1} max={65535} required value={form.ctx_len} aria-describedby="x-ctx_len-hint" onChange={(event) => set("ctx_len", event.target.valueAsNumber || 128)} />
          </Field>
        </div>
        <div>
          <p className="eyebrow mb-1">The same on the command line</p>
          <Command text={extractionCommand(asked)} />
        </div>
        {start.isError && <ErrorNote error={start.error} what="The extraction did not start." />}
        <div className="flex justify-end gap-2">
          <button type="button" className="btn" onClick={onClose}>Cancel</button>
          <button type="submit" className="btn btn-main" disabled={start.isPending}>{start.isPending ? "Starting…" : "Start"}</button>
        </div>
      </form>
    </Dialog>
  );
}
