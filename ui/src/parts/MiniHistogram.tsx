import { memo } from "react";

import { logHeight } from "../lib/binning";

/** Counts as bars one can take in at a glance; heights are logarithmic, so that one event is still seen. */
export const MiniHistogram = memo(function MiniHistogram(props: { counts: number[]; label: string; width?: number; height?: number }) {
  const { counts, label, width = 64, height = 20 } = props;
  if (counts.length === 0) return <span className="text-xs text-muted">–</span>;
  const most = Math.max(...counts);
  const step = width / counts.length;
  // One path in place of dozens of rectangles: lists show many of these.
  const path = counts
    .map((n, i) => {
      const h = n > 0 ? Math.max(1.5, logHeight(n, most) * height) : 0;
      return h ? `M${(i * step).toFixed(1)} ${height}v${(-h).toFixed(1)}h${Math.max(0.8, step - 0.6).toFixed(1)}v${h.toFixed(1)}z` : "";
    })
    .join("");
  return (
    <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label} className="block">
      <path d={path} fill="var(--data)" data-bar />
      <path d={`M0 ${height - 0.5}H${width}`} stroke="var(--line)" />
    </svg>
  );
});
