import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo } from "react";

import { ApiError, post } from "../../api/client";
import { planQuery, providersQuery } from "../../api/labelingQueries";
import { matchesQuery, runQuery, saeQuery } from "../../api/queries";
import { keepJob } from "../../api/stream";
import type { Job, ProviderStatus, Sae } from "../../api/types";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { announce } from "../../lib/live";
import { labelCommand, labelingSpec, N_DRY, queryOf, type LabelSearch, type ProviderName } from "../../lib/labeling";
import { useTitle } from "../../lib/title";
import { Command } from "../../parts/Copy";
import { Bones, Empty, ErrorNote } from "../../parts/states";
import { Choices } from "./Choices";
import { DryRun } from "./DryRun";
import { PlanCard } from "./PlanCard";
import { PromptPanel } from "./PromptPanel";

const route = getRouteApi("/s/$sae/label");

export function LabelScreen() {
  useTitle("Label");
  const { sae } = route.useParams();
  const search = route.useSearch();
  const of = useQuery(saeQuery(sae));
  const providers = useQuery(providersQuery);
  if (of.isError && !of.data) return of.error instanceof ApiError && of.error.status === 404 ? <Empty level={1} title={`There is no SAE ${sae} here`}><Link to="/" className="btn">To the library</Link></Empty> : <div className="p-6"><ErrorNote error={of.error} what="The SAE could not be read." retry={() => void of.refetch()} /></div>;
  if (providers.isError && !providers.data) return <div className="p-6"><ErrorNote error={providers.error} what="Who can be asked could not be read." retry={() => void providers.refetch()} /></div>;
  if (!of.data || !providers.data) return <div className="grid gap-6 p-6 lg:grid-cols-[400px_1fr]"><Bones rows={8} className="h-10" /><Bones rows={8} className="h-10" /></div>;
  const run = search.run ?? (of.data.newest_run === null ? null : String(of.data.newest_run));
  if (run === null) {
    return (
      <Empty level={1} title="No run is finished yet">
        <p>Features are labeled by what a finished run says of them; {of.data.name} has none so far.</p>
        <p className="mt-3"><Link to="/jobs" className="btn">See the jobs</Link></p>
      </Empty>
    );
  }
  return <LabelPage sae={of.data} run={run} statuses={providers.data.items} onLookAgain={() => void providers.refetch()} />;
}

type PageProps = { sae: Sae; run: string; statuses: ProviderStatus[]; onLookAgain: () => void };

function LabelPage({ sae, run, statuses, onLookAgain }: PageProps) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const client = useQueryClient();
  const provider: ProviderName = search.provider ?? statuses.find((one) => one.is_ready)?.name ?? "openai";
  const status = statuses.find((one) => one.name === provider);
  const matches = useQuery(matchesQuery({ sae: sae.uid, run: search.run, q: queryOf(search) }));
  const named = useQuery(runQuery(run));
  const fault = matches.error instanceof ApiError && matches.error.problem?.position ? matches.error : null;
  const spec = useMemo(() => labelingSpec(search, run, provider), [search, run, provider]);
  const missing = fault ? "The query cannot be read; see where it is wrong." : provider === "compatible" && !search.model ? "Name the model: a compatible server has no default." : null;
  const asks = provider !== "lexical";
  const plan = useQuery(planQuery(asks && !missing ? spec : null));
  const change = useCallback((next: Partial<LabelSearch>) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true }), [navigate]);

  const dry = useMutation({
    mutationFn: () => post<Job>("jobs", { kind: "labeling", spec: { ...spec, dry_run: N_DRY } }),
    onSuccess: (job) => {
      keepJob(client, job);
      change({ dry: job.id });
    },
  });
  const start = useMutation({
    mutationFn: () => post<Job>("jobs", { kind: "labeling", spec }),
    onSuccess: (job) => {
      keepJob(client, job);
      void navigate({ to: "/jobs/$job", params: { job: String(job.id) } });
    },
  });
  const isBusy = dry.isPending || start.isPending;
  const unready = status && !status.is_ready ? `${status.name === "compatible" ? "The server" : "The provider"} is not ready; beside the choice stands what is missing.` : null;
  const nAsked = plan.data?.n_features;
  useEffect(() => {
    if (nAsked !== undefined && !plan.isPlaceholderData) announce(`${format.plural(nAsked, "feature")} to label`);
  }, [nAsked, plan.isPlaceholderData]);
  useKeys("Label", { d: [`Dry run of ${N_DRY}`, () => nAsked && !unready && !isBusy && !plan.isPlaceholderData && dry.mutate()] });

  const sample = plan.data?.sample ?? [];
  const shown = search.at ?? sample[0] ?? null;
  return (
    <div className="mx-auto max-w-[1500px] px-4 py-4 sm:px-6">
      <header className="mb-4 flex flex-wrap items-baseline gap-x-3">
        <h1 className="text-lg">Label</h1>
        <p className="min-w-0 truncate text-sm text-muted">{sae.name}{named.data && <>, run {named.data.name}</>}</p>
        <Link to="/templates" className="ml-auto text-sm underline">Templates</Link>
      </header>
      <div className="grid items-start gap-x-8 gap-y-6 lg:grid-cols-[minmax(340px,420px)_minmax(0,1fr)]">
        <Choices
          search={search} provider={provider} statuses={statuses} matches={matches.data} fault={fault} isBusy={matches.isFetching && !matches.isPending}
          onChange={change} onLookAgain={onLookAgain}
        />
        <div className="min-w-0 space-y-5">
          {matches.isError && !fault && <ErrorNote error={matches.error} what="The features could not be counted." retry={() => void matches.refetch()} />}
          {asks ? (
            <>
              <PlanCard
                plan={plan} spec={spec} search={search} missing={missing} unready={unready} isBusy={isBusy} onChange={change}
                onDryRun={() => dry.mutate()} onStart={() => start.mutate()}
              >
                {dry.isError && <ErrorNote error={dry.error} what="The dry run did not start." />}
                {start.isError && <ErrorNote error={start.error} what="The labeling did not start." />}
                {search.dry !== undefined && <DryRun id={search.dry} sae={sae.uid} plan={plan.isPlaceholderData ? undefined : plan.data} onClose={() => change({ dry: undefined })} />}
              </PlanCard>
              {!missing && (shown !== null || plan.isPending) && <PromptPanel sae={sae.uid} run={search.run} spec={spec} sample={sample} feature={shown} onFeature={(at) => change({ at })} />}
            </>
          ) : (
            <WithoutModel nMatches={matches.data?.n_matches} isFaulty={matches.isError} spec={spec} isBusy={isBusy} error={start.error} onStart={() => start.mutate()} />
          )}
        </div>
      </div>
    </div>
  );
}

type WithoutProps = { nMatches: number | undefined; isFaulty: boolean; spec: Record<string, unknown>; isBusy: boolean; error: Error | null; onStart: () => void };

/** The offline labeler asks nobody: nothing is to be paid, and there is no prompt to be seen. */
function WithoutModel({ nMatches, isFaulty, spec, isBusy, error, onStart }: WithoutProps) {
  return (
    <section aria-label="What it takes" className="card space-y-3.5 p-4">
      <p className="text-lg font-semibold">{nMatches === undefined ? "…" : <><span className="num">{format.plural(nMatches, "feature")}</span> {nMatches === 1 ? "matches" : "match"}</>}</p>
      <p className="text-sm text-muted">
        Labels come from the tokens that a feature fires on and the text around them, within minutes, on this machine. Where there is no clear
        pattern it abstains. Features with a flag, and those that people labeled, are left out.
      </p>
      <button type="button" className="btn btn-main" disabled={isBusy || isFaulty || !nMatches} onClick={onStart}>{isBusy ? "Starting…" : "Start"}</button>
      {error && <ErrorNote error={error} what="The labeling did not start." />}
      <div>
        <p className="eyebrow mb-1">The same on the command line</p>
        <Command text={labelCommand(spec)} />
      </div>
    </section>
  );
}
