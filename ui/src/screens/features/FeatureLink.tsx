import { useRouter } from "@tanstack/react-router";
import type { MouseEvent } from "react";

import type { FeaturesSearch } from "../../lib/search";

type Props = { id: number; sae: string; search: FeaturesSearch; isReachable?: boolean; onOpen: (id: number) => void };

/** A list's link to a feature. The router's own Link would be worked out anew, in every row, at each letter of the address. */
export function FeatureLink({ id, sae, search, isReachable = true, onOpen }: Props) {
  const router = useRouter();
  const { publicHref } = router.buildLocation({
    to: "/s/$sae/f/$index", params: { sae, index: String(id) }, search: { run: search.run, q: search.q, sort: search.sort },
  });
  const open = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen(id);
  };
  return (
    <a href={router.history.createHref(publicHref)} onClick={open} tabIndex={isReachable ? 0 : -1} className="num font-mono text-[12.5px] text-muted hover:text-fg hover:underline">
      #{id}
    </a>
  );
}
