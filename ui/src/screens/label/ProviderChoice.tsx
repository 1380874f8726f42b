import { useMutation } from "@tanstack/react-query";
import { CircleCheck, CircleDashed, TriangleAlert, Zap } from "lucide-react";

import { post, type Schemas } from "../../api/client";
import type { ProviderStatus } from "../../api/types";
import * as format from "../../lib/format";
import { PROVIDERS, type LabelSearch, type ProviderName } from "../../lib/labeling";
import { Command } from "../../parts/Copy";
import { TextField } from "../../parts/fields";
import { ErrorNote } from "../../parts/states";

const NAMES: Record<ProviderName, { name: string; what: string }> = {
  openai: { name: "OpenAI", what: "official API" },
  anthropic: { name: "Anthropic", what: "official API" },
  compatible: { name: "Compatible", what: "Ollama, vLLM, llama.cpp, LM Studio" },
  lexical: { name: "No model", what: "from its tokens; offline, free" },
};

const providerName = (name: string): string => (name in NAMES ? NAMES[name as ProviderName].name : name);

const hostOf = (url: string): string => URL.parse(url)?.host ?? url;

type Props = {
  statuses: ProviderStatus[];
  provider: ProviderName;
  search: LabelSearch;
  onChange: (next: Partial<LabelSearch>) => void;
  onLookAgain: () => void;
};

/** Who labels. What is not ready says what it takes. */
export function ProviderChoice({ statuses, provider, search, onChange, onLookAgain }: Props) {
  const status = statuses.find((one) => one.name === provider);
  return (
    <div className="space-y-2.5">
      <div role="group" aria-label="Provider" className="grid grid-cols-2 gap-1.5">
        {PROVIDERS.map((name) => (
          <ProviderCard
            key={name} name={name} status={statuses.find((one) => one.name === name)} isChosen={name === provider}
            onChoose={() => name !== provider && onChange({ provider: name, model: undefined })}
          />
        ))}
      </div>
      {status && !status.is_ready && <NotReady status={status} onLookAgain={onLookAgain} />}
      {status && (
        <>
          <TextField
            label="Model" value={search.model ?? ""} placeholder={status.default_model ?? "the name that its server knows"}
            hint={status.default_model ? undefined : "A server of your own has its own names; it has to be given."}
            onChange={(model) => onChange({ model: model === status.default_model ? undefined : model || undefined })}
          />
          <Trial key={`${provider} ${search.model ?? ""}`} status={status} model={search.model ?? ""} />
        </>
      )}
    </div>
  );
}

function ProviderCard({ name, status, isChosen, onChoose }: { name: ProviderName; status: ProviderStatus | undefined; isChosen: boolean; onChoose: () => void }) {
  const isReady = name === "lexical" || status?.is_ready;
  const Icon = isReady ? CircleCheck : CircleDashed;
  return (
    <button type="button" aria-pressed={isChosen} onClick={onChoose} className="btn min-w-0 items-start justify-start gap-2 px-2.5 py-2 text-left whitespace-normal">
      <Icon size={14} className={`mt-0.5 shrink-0 ${isReady ? "text-ok" : "text-muted"}`} aria-hidden />
      <span className="min-w-0 flex-1">
        <span className="block truncate">{NAMES[name].name}</span>
        <span className={`block text-xs font-normal text-muted ${isReady && status?.base_url ? "truncate" : ""}`}>{isReady && status?.base_url ? hostOf(status.base_url) : NAMES[name].what}</span>
        <span className={`block text-xs font-normal ${isReady ? "text-ok" : "text-muted"}`}>{isReady ? "ready" : status && !status.has_key && name !== "compatible" ? "needs a key" : "needs an address"}</span>
      </span>
    </button>
  );
}

/** What is missing, and the line that sets it: keys and addresses are never typed into the page. */
function NotReady({ status, onLookAgain }: { status: ProviderStatus; onLookAgain: () => void }) {
  const line = status.name === "compatible" ? "export FEATLAS_COMPATIBLE_BASE_URL=http://127.0.0.1:11434/v1" : `export ${status.key_variable}=…`;
  return (
    <div className="space-y-2 rounded-lg border border-line bg-raised px-3 py-2.5 text-sm">
      <p className="flex gap-2"><TriangleAlert size={15} className="mt-0.5 shrink-0 text-muted" aria-hidden /> <span className="min-w-0 [overflow-wrap:anywhere]">{status.problem}</span></p>
      <Command text={line} />
      <p className="text-xs text-muted">Set it where Featlas runs, then start <code>featlas serve</code> anew. The page never asks for a key.</p>
      <button type="button" className="btn" onClick={onLookAgain}>Look again</button>
    </div>
  );
}

/** One tiny question: is it there, does it take the key, does it keep to a JSON schema? */
function Trial({ status, model }: { status: ProviderStatus; model: string }) {
  const trial = useMutation({ mutationFn: () => post<Schemas["ProviderTrial"]>(`providers/${status.name}/test`, { model }) });
  const found = trial.data;
  const isAskable = status.is_ready && (model !== "" || status.default_model !== null);
  return (
    <div className="space-y-1.5">
      <button type="button" className="btn" disabled={!isAskable || trial.isPending} onClick={() => trial.mutate()} title="Asks one tiny question">
        <Zap size={13} aria-hidden /> {trial.isPending ? "Asking…" : "Test"}
      </button>
      <div aria-live="polite" className="text-sm">
        {found && (
          <p className="num text-xs">
            <span className="font-medium text-ok">It answers</span> as {found.model} in {format.value(found.seconds)} s
            {found.n_tokens_in === null ? "; it counts no tokens" : `; ${format.whole(found.n_tokens_in)} tokens in, ${format.whole(found.n_tokens_out)} out`}.{" "}
            {found.keeps_schema ? "It keeps to the JSON schema." : <span className="text-bad">Its answer was no label: choose “text” as the form of the answers, under More.</span>}
          </p>
        )}
        {trial.isError && <ErrorNote error={trial.error} what={`${providerName(status.name)} did not answer.`} />}
      </div>
    </div>
  );
}
