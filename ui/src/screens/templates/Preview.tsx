import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronDown } from "lucide-react";

import { planQuery } from "../../api/labelingQueries";
import { runsQuery } from "../../api/queries";
import type { PromptWording } from "../../api/types";
import { Menu } from "../../parts/Menu";
import { Bones, ErrorNote } from "../../parts/states";
import { PromptPanel } from "../label/PromptPanel";

type Props = { wording: PromptWording | null; isOld: boolean; run: string | undefined; feature: number | undefined; onRun: (run: string) => void; onFeature: (index: number) => void };

/** The wording as a model would read it, over a real feature; nothing is saved or asked for that. */
export function Preview({ wording, isOld, run, feature, onRun, onFeature }: Props) {
  const query = useInfiniteQuery(runsQuery);
  const runs = (query.data?.pages ?? []).flatMap((page) => page.items).filter((one) => one.state === "finished");
  const chosen = runs.find((one) => String(one.id) === run) ?? runs[0];
  const spec = chosen ? { run: String(chosen.id), provider: "openai" } : null;
  const plan = useQuery(planQuery(spec && { ...spec, relabel: true }));
  if (query.isError && !query.data) return <ErrorNote error={query.error} what="The runs could not be read." retry={() => void query.refetch()} />;
  if (!query.data) return <Bones rows={6} />;
  if (!chosen || !spec) {
    return (
      <p className="text-sm text-muted">
        There is no finished run yet whose features it could be shown on. <Link to="/" className="underline">The library</Link> says how to get one.
      </p>
    );
  }
  const sample = plan.data && !plan.isPlaceholderData ? plan.data.sample : [];
  const shown = feature ?? sample[0] ?? (plan.isPending ? null : 0);
  return (
    <div className="space-y-2.5">
      <div className="flex flex-wrap items-center gap-2">
        <Menu
          align="start" className="btn min-w-0 max-w-full" label={`Shown on ${chosen.sae_name}, ${chosen.name}`} trigger={<><span className="truncate"><span className="text-muted">on</span> {chosen.sae_name}, {chosen.name}</span><ChevronDown size={14} className="shrink-0 text-muted" aria-hidden /></>}
          items={[
            ...runs.map((one) => ({ key: one.uid, isChosen: one.id === chosen.id, run: () => onRun(String(one.id)), label: <span className="block min-w-0"><span className="block truncate">{one.sae_name}</span><span className="block truncate text-xs text-muted">{one.name} · {one.model}</span></span> })),
            ...(query.hasNextPage ? [{ key: "more", isChosen: false, run: () => void query.fetchNextPage(), label: "Older runs…" }] : []),
          ]}
        />
        {isOld && <span className="text-xs text-muted">as it was before the mistake</span>}
      </div>
      <PromptPanel sae={chosen.sae} run={String(chosen.id)} spec={spec} {...(wording ? { wording } : {})} missing={wording ? null : "It is shown as soon as nothing is wrong with it."} sample={sample} feature={shown} onFeature={onFeature} />
    </div>
  );
}
