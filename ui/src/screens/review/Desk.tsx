import { useNavigate, useRouter } from "@tanstack/react-router";
import { Activity, lazy, Suspense, useCallback, useEffect, useLayoutEffect, useMemo, useState } from "react";

import type { Queue } from "../../api/reviewQueries";
import { neighbour } from "../../lib/desk";
import { useKeys } from "../../lib/keys";
import { index, type FeatureSearch, type ReviewSearch } from "../../lib/search";
import { SCALES } from "../../lib/segments";
import { useTitle } from "../../lib/title";
import { Bones, ErrorNote } from "../../parts/states";
import { hideTip } from "../../parts/Tip";
import { FeatureDesk } from "./FeatureDesk";
import { FailureNotices, Notice, stepWords } from "./Notices";
import { QueueDone } from "./QueueDone";
import { QueueProgress, standingOf } from "./QueueProgress";
import { useReview, type Review } from "./useReview";

const StepsDialog = lazy(() => import("./StepsDialog"));
const REFRESH_MS = 2500;
const ADDRESS_MS = 150;

type Props = {
  queue: Queue;
  sae: string;
  search: ReviewSearch;
  at: number | undefined;
  /** Another queue is asked for: this one is only looked at. */
  isHeld: boolean;
  reviewer: string;
  onSearch: (next: Partial<ReviewSearch>, replace?: boolean) => void;
  onRefresh: () => void;
};

/** One queue being worked through. */
export function Desk({ queue, sae, search, at, isHeld, reviewer, onSearch, onRefresh }: Props) {
  const review = useReview({ queue, sae, run: search.run, reviewer, at });
  const { desk, around, chosen, open, failures, saves, feature, deeds } = review;
  const [areStepsOpen, setStepsOpen] = useState(false);
  const standing = standingOf(queue, desk);
  const here = around.find(({ id }) => id === desk.at);
  const { run, range, scale, breaks } = search;
  const ofFeature = useMemo<FeatureSearch>(() => ({ run, range, scale, breaks }), [run, range, scale, breaks]);
  const onFeatureSearch = useCallback(({ range, scale, breaks, ...rest }: Partial<FeatureSearch>) => {
    void rest;
    onSearch({ range, scale, breaks }, true);
  }, [onSearch]);
  useTitle(desk.at === null ? "Review" : `#${desk.at} · Review`);
  useAddress(desk.at, isHeld, onSearch);
  useFocus(desk.at);
  useDeskKeys(review, { sae, search, isHeld, onSearch });

  // The server's counts and order, once what was decided is stored and the keys rest.
  const isOld = saves.waiting.length === 0 && queue.serial !== saves.serial;
  useEffect(() => {
    if (!isOld) return undefined;
    const timer = window.setTimeout(onRefresh, REFRESH_MS);
    return () => window.clearTimeout(timer);
    // Every further change begins the wait anew.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [isOld, saves.serial, onRefresh]);
  const isOut = desk.at === null && (standing.nLeft > 0 || isOld);
  useEffect(() => {
    if (isOut && saves.waiting.length === 0) onRefresh();
  }, [isOut, saves.waiting.length, onRefresh]);

  return (
    <div className="space-y-3 px-3 pt-2.5 pb-6 sm:px-4">
      <QueueProgress
        standing={standing} saves={saves} nMatches={queue.n_matches} canLook={(by) => open === null && neighbour(desk, by) !== null}
        onLook={(by) => (by > 0 ? deeds.lookAhead() : deeds.lookBack())} onSteps={() => setStepsOpen(true)}
      />
      {failures.length > 0 && <FailureNotices failures={failures} at={desk.at} labels={feature?.labels} canGo={open === null} onRetry={deeds.retryAll} onGo={deeds.goTo} onForget={deeds.forget} />}
      <UndoTrouble review={review} />
      {here?.query.isError && !here.query.data && <ErrorNote error={here.query.error} what={`Feature ${here.id} could not be loaded.`} retry={() => void here.query.refetch()} />}
      {here?.query.isPending && <div className="grid gap-6 lg:grid-cols-[minmax(0,1fr)_420px]"><Bones rows={9} className="h-12" /><Bones rows={6} className="h-16" /></div>}
      {around.toSorted((a, b) => a.id - b.id).map(({ id, query }) => query.data && (
        <Activity key={id} mode={id === desk.at ? "visible" : "hidden"}>
          <FeatureDesk
            feature={query.data} search={ofFeature} onSearch={onFeatureSearch} chosenId={chosen[id]} open={id === desk.at ? open : null} done={desk.done.get(id)} deeds={deeds}
          />
        </Activity>
      ))}
      {desk.at === null && (isOut ? <Bones rows={6} className="h-12" /> : <QueueDone sae={sae} run={run} queue={queue} nReviewed={standing.nReviewed} onQuery={(q) => onSearch({ q: q || undefined, at: undefined })} />)}
      {areStepsOpen && (
        <Suspense>
          <StepsDialog sae={sae} reviewer={reviewer} onGo={(id) => { setStepsOpen(false); deeds.goTo(id); }} onClose={() => setStepsOpen(false)} />
        </Suspense>
      )}
    </div>
  );
}

/** The address says which feature is on screen, once one has stopped at it; not where a link leads elsewhere meanwhile. */
function useAddress(at: number | null, isHeld: boolean, onSearch: Props["onSearch"]) {
  const router = useRouter();
  useEffect(() => {
    const { pathname, search } = router.latestLocation;
    const shown = at ?? undefined;
    if (isHeld || index(search.at) === shown) return undefined;
    const timer = window.setTimeout(() => router.latestLocation.pathname === pathname && onSearch({ at: shown }, true), ADDRESS_MS);
    return () => window.clearTimeout(timer);
  }, [at, isHeld, onSearch, router]);
}

/** Every feature is looked at from its top, and the page's own keys scroll it. */
function useFocus(at: number | null) {
  useLayoutEffect(() => {
    const main = document.getElementById("main");
    if (!main) return;
    if (document.activeElement !== main && !document.activeElement?.matches("input, textarea")) main.focus({ preventScroll: true });
    main.scrollTo({ top: 0 });
    hideTip();
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [at]);
}

/** A key that is held down decides once. */
const once = (deed: () => void) => (event: KeyboardEvent) => !event.repeat && deed();

function useDeskKeys({ desk, open: openForm, deeds }: Review, { sae, search, isHeld, onSearch }: Pick<Props, "sae" | "search" | "isHeld" | "onSearch">) {
  const navigate = useNavigate();
  const open = async () => {
    if (desk.at === null) return;
    // So that Back leads to this feature.
    await navigate({ to: "/s/$sae/review", params: { sae }, search: { ...search, at: desk.at }, replace: true });
    await navigate({ to: "/s/$sae/f/$index", params: { sae, index: String(desk.at) }, search: { run: search.run } });
  };
  const looking: Parameters<typeof useKeys>[1] = {
    "1-9": ["Choose a candidate", (event) => deeds.chooseNumber(Number(event.key))],
    a: ["Accept the chosen one and go on", once(deeds.accept)],
    e: ["Edit the chosen one", once(deeds.edit)],
    n: ["Write a label", once(deeds.write)],
    r: ["Reject the chosen one with a reason", once(deeds.reject)],
    s: ["Skip: not now", once(deeds.skip)],
    u: ["Take back the last step", once(deeds.undo)],
    j: ["Look ahead without deciding", deeds.lookAhead],
    k: ["Look back without deciding", deeds.lookBack],
    ArrowRight: ["Look ahead without deciding", deeds.lookAhead],
    ArrowLeft: ["Look back without deciding", deeds.lookBack],
    f: ["Mark as a favourite, or no longer", once(deeds.star)],
    o: ["Open the feature's page", () => void open()],
    h: ["Colour scale: linear, log, percentile", () => onSearch({ scale: SCALES[SCALES.indexOf(search.scale ?? "linear") + 1] }, true)],
    w: ["Marks at line breaks", () => onSearch({ breaks: search.breaks ? undefined : "1" }, true)],
  };
  const writing: Parameters<typeof useKeys>[1] = {
    x: ["Save the form that is open (in its fields: Enter)", () => document.querySelector<HTMLFormElement>("[data-form] form")?.requestSubmit()],
    Escape: ["Leave the form", () => openForm && deeds.closeForm()],
  };
  useKeys("Review", isHeld ? {} : openForm ? writing : { ...looking, ...writing });
}

function UndoTrouble({ review: { trouble, deeds } }: { review: Review }) {
  if (trouble === null) return null;
  return (
    <Notice isBad={!("nothing" in trouble)} onClose={deeds.clearTrouble}>
      {"error" in trouble && <><strong className="font-semibold">{trouble.what}</strong> {trouble.error.message}</>}
      {"nothing" in trouble && "Nothing is left to take back: no step of yours stands that Undo could reach."}
      {"overtaken" in trouble && (
        <>
          You {stepWords(trouble.overtaken)} of #{trouble.overtaken.feature_index}, but somebody has judged that label since, and that stays.
          <button type="button" className="btn mt-1.5 flex" title="Leave it and take back the step before (u)" onClick={deeds.undo}>Take back the step before it (u)</button>
        </>
      )}
    </Notice>
  );
}
