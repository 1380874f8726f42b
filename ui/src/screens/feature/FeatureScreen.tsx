import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useCallback, useEffect, useRef } from "react";

import { ApiError } from "../../api/client";
import { featureQuery, saeQuery } from "../../api/queries";
import type { Feature } from "../../api/types";
import { whole } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { announce } from "../../lib/live";
import type { FeatureSearch } from "../../lib/search";
import { SCALES } from "../../lib/segments";
import { useTitle } from "../../lib/title";
import { copyText } from "../../parts/Copy";
import { Bones, Empty, ErrorNote } from "../../parts/states";
import { Evidence } from "./Evidence";
import { FeatureHeader } from "./FeatureHeader";
import { FiringHistogram } from "./FiringHistogram";
import { LabelsPanel } from "./LabelsPanel";
import { PeakHistogram } from "./PeakHistogram";
import { PositionProfile } from "./PositionProfile";
import { Silence, StatCards } from "./StatCards";
import { TopTokens } from "./TopTokens";
import { useWalk } from "./useWalk";

const route = getRouteApi("/s/$sae/f/$index");

export function FeatureScreen() {
  const { sae, index } = route.useParams();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const id = /^\d{1,9}$/.test(index) ? Number(index) : -1;
  const query = useQuery({ ...featureQuery(sae, search.run, id), placeholderData: keepPreviousData, enabled: id >= 0 });
  const walk = useWalk(sae, search, id, query.isSuccess && !query.isPlaceholderData);
  const feature = query.data;
  useTitle(`#${index}${feature?.labels.current?.semantic_label ? ` ${feature.labels.current.semantic_label}` : ""}`);
  useEffect(() => {
    if (feature && !query.isPlaceholderData) announce(`Feature ${feature.feature_index}${feature.labels.current ? `, ${feature.labels.current.semantic_label}` : ""}`);
  }, [feature, query.isPlaceholderData]);

  const change = useCallback(
    (next: Partial<FeatureSearch>) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true }),
    [navigate],
  );
  // Walking replaces the address, so that Back leads to the list one came from.
  const go = (to: number | undefined) => {
    if (to === undefined) return;
    document.getElementById("main")?.scrollTo({ top: 0 });
    void navigate({ to: "/s/$sae/f/$index", params: { sae, index: String(to) }, search: ({ band: _, ...before }) => before, replace: true });
  };
  const toList = () => void navigate({ to: "/s/$sae/features", params: { sae }, search: { run: search.run, q: search.q, sort: search.sort, at: id } });
  useKeys("Feature", {
    n: ["Next in the result set", () => go(walk?.after)],
    p: ["Previous in the result set", () => go(walk?.before)],
    1: ["One line per example", () => change({ range: "stacked" })],
    2: ["Snippets", () => change({ range: undefined })],
    3: ["Whole contexts", () => change({ range: "full" })],
    h: ["Colour scale: linear, log, percentile", () => change({ scale: SCALES[SCALES.indexOf(search.scale ?? "linear") + 1] })],
    w: ["Marks at line breaks", () => change({ breaks: search.breaks ? undefined : "1" })],
    y: ["Copy the link", () => void copyText(location.href)],
    Escape: ["Back to the list", toList],
  });

  if (id < 0 || (query.isError && !feature && query.error instanceof ApiError && query.error.status === 404)) return <NoFeature sae={sae} asked={index} search={search} error={query.error} />;
  if (query.isError && !feature) return <div className="p-6"><ErrorNote error={query.error} what={`Feature ${index} could not be loaded.`} retry={() => void query.refetch()} /></div>;
  if (!feature) return <div className="grid gap-6 p-6 lg:grid-cols-[1fr_340px]"><Bones rows={9} className="h-12" /><Bones rows={6} className="h-16" /></div>;
  return (
    <article aria-busy={query.isFetching} className={query.isPlaceholderData ? "stale" : ""}>
      <FeatureHeader feature={feature} search={search} walk={walk} onGo={go} />
      {query.isError && <div className="px-4 pt-3"><ErrorNote error={query.error} retry={() => void query.refetch()} /></div>}
      <FeatureBody key={feature.feature_index} feature={feature} search={search} onChange={change} />
    </article>
  );
}

type BodyProps = { feature: Feature; search: FeatureSearch; onChange: (next: Partial<FeatureSearch>) => void };

function FeatureBody({ feature, search, onChange }: BodyProps) {
  const facts = useRef<HTMLDivElement>(null);
  const setBand = (band: string | undefined) => onChange({ band });
  return (
    <div className="grid items-start gap-x-6 gap-y-5 px-4 py-4 sm:px-6 lg:grid-cols-[minmax(0,1fr)_340px] 2xl:grid-cols-[minmax(0,1fr)_360px_320px]">
      <div className="min-w-0 space-y-4">
        {feature.n_fires === 0 ? <Silence feature={feature} /> : <StatCards feature={feature} />}
        <Evidence feature={feature} search={search} onChange={onChange} />
      </div>
      <div ref={facts} className="grid min-w-0 gap-5 max-lg:order-first 2xl:contents">
        <div className="min-w-0 2xl:order-last"><LabelsPanel feature={feature} /></div>
        <div className="min-w-0 space-y-5 max-lg:hidden"><Facts feature={feature} band={search.band} onBand={setBand} /></div>
      </div>
      <div className="min-w-0 space-y-5 lg:hidden"><Facts feature={feature} band={search.band} onBand={setBand} /></div>
    </div>
  );
}

function Facts({ feature, band, onBand }: { feature: Feature; band: string | undefined; onBand: (band: string | undefined) => void }) {
  if (feature.n_fires === 0) return null;
  return (
    <>
      <FiringHistogram feature={feature} band={band} onBand={onBand} />
      <PeakHistogram feature={feature} band={band} onBand={onBand} />
      <TopTokens feature={feature} />
      <PositionProfile feature={feature} />
    </>
  );
}

/** No such feature: how many there are, and the nearest one. */
function NoFeature({ sae, asked, search, error }: { sae: string; asked: string; search: FeatureSearch; error: Error | null }) {
  const of = useQuery(saeQuery(sae));
  if (of.isPending) return <div className="p-6"><Bones rows={2} /></div>;
  if (of.isError) return <div className="p-6"><ErrorNote error={of.error} what={`There is no SAE ${sae} here.`} /></div>;
  const last = of.data.d_sae - 1;
  const number = Number(asked);
  const near = [...new Set([0, Number.isFinite(number) ? Math.max(0, Math.min(last, Math.round(number))) : 0, last])].toSorted((a, b) => a - b);
  return (
    <Empty level={1} title={`There is no feature ${asked} here`}>
      <p>{of.data.name} has {whole(of.data.d_sae)} features, 0 to {whole(last)}.{error && number <= last && number >= 0 ? ` ${error.message}` : ""}</p>
      <p className="mt-4 flex justify-center gap-2">
        {near.map((index) => <Link key={index} className="btn" to="/s/$sae/f/$index" params={{ sae, index: String(index) }} search={search}>#{index}</Link>)}
        <Link className="btn" to="/s/$sae/features" params={{ sae }} search={{ run: search.run }}>All features</Link>
      </p>
    </Empty>
  );
}
