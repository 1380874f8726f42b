import { useInfiniteQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { lazy, Suspense, useState } from "react";

import { runsQuery } from "../../api/queries";
import { plural } from "../../lib/format";
import { useTitle } from "../../lib/title";
import { Command } from "../../parts/Copy";
import { Bones, ErrorNote } from "../../parts/states";
import { RunCard } from "./RunCard";

const ExtractDialog = lazy(() => import("./ExtractDialog"));

export function LibraryScreen() {
  useTitle("Library");
  const [isExtracting, setExtracting] = useState(false);
  const query = useInfiniteQuery({
    ...runsQuery,
    // A job that runs is told by the stream; how much of a run is published is not.
    refetchInterval: (q) => (q.state.data?.pages.some((p) => p.items.some((r) => r.state === "pending")) ? 5000 : false),
  });
  const runs = (query.data?.pages ?? []).flatMap((page) => page.items);
  return (
    <div className="mx-auto max-w-6xl px-4 py-5 sm:px-6">
      <header className="mb-4 flex items-center gap-3">
        <h1 className="text-lg">Library</h1>
        {runs.length > 0 && <span className="text-sm text-muted">{plural(runs.length, "run")}{query.hasNextPage && " and more"}</span>}
        {(runs.length > 0 || query.isError) && (
          <button type="button" className="btn btn-main ml-auto" onClick={() => setExtracting(true)}>
            <Plus size={15} aria-hidden /> Extract an SAE
          </button>
        )}
      </header>
      {query.isError && <ErrorNote error={query.error} what="The library could not be read." retry={() => void query.refetch()} />}
      {query.isPending && <Bones rows={3} className="h-36" />}
      {query.isSuccess && runs.length === 0 && <FirstRun onExtract={() => setExtracting(true)} />}
      <div className="space-y-3.5">
        {runs.map((run) => <RunCard key={run.uid} run={run} />)}
      </div>
      {query.hasNextPage && (
        <div className="mt-4 text-center">
          <button type="button" className="btn" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>Older runs</button>
        </div>
      )}
      {isExtracting && <Suspense><ExtractDialog onClose={() => setExtracting(false)} /></Suspense>}
    </div>
  );
}

function FirstRun({ onExtract }: { onExtract: () => void }) {
  return (
    <section className="py-4">
      <h2 className="text-xl">What does each feature of your SAE mean?</h2>
      <p className="mt-1.5 max-w-2xl text-muted">
        Featlas runs a model and a sparse autoencoder over texts and tells of every feature where it fires, how often, and
        what it stands for. Nothing leaves this machine. There are no runs here yet.
      </p>
      <div className="mt-5 grid gap-4 lg:grid-cols-2">
        <article className="card flex flex-col gap-3 p-4">
          <h3>See it work</h3>
          <p className="text-sm text-muted">A small model, its SAE and texts come along; this describes all 4,096 features in a few minutes.</p>
          <Command text="featlas demo" />
          <p className="text-xs text-muted">This page shows the run as soon as it starts.</p>
        </article>
        <article className="card flex flex-col gap-3 p-4">
          <h3>Extract your SAE</h3>
          <p className="text-sm text-muted">A folder in SAELens format, the model it was trained on, and texts.</p>
          <Command text={"featlas extract --model MODEL --sae FOLDER --text TEXTS"} />
          <div><button type="button" className="btn btn-main" onClick={onExtract}><Plus size={15} aria-hidden /> Fill in a form</button></div>
        </article>
      </div>
    </section>
  );
}
