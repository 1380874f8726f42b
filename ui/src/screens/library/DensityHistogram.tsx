import * as format from "../../lib/format";

const WIDTH = 168;
const HEIGHT = 40;

/** Features by log10 of their activation frequency, in half decades from 1e-7 to 1. */
export function DensityHistogram({ counts, nDead }: { counts: number[]; nDead: number | null }) {
  const most = Math.max(...counts, 1);
  const step = WIDTH / counts.length;
  const peak = counts.indexOf(most);
  const about = `Features by activation frequency. Most (${format.whole(most)}) lie between ${power(peak)} and ${power(peak + 1)}.`;
  return (
    <figure className="m-0" data-tip={`${about}\n${format.whole(nDead)} dead features are not drawn.`} tabIndex={0}>
      <svg width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={about} className="block max-w-full">
        {counts.map((n, i) => {
          const h = n ? Math.max(1.5, (n / most) * (HEIGHT - 2)) : 0;
          return <rect key={i} data-bar x={i * step + 0.5} y={HEIGHT - 1 - h} width={step - 1.5} height={h} rx={1} fill="var(--data)" />;
        })}
        <path d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} stroke="var(--edge)" strokeWidth={0.75} />
      </svg>
      <figcaption className="mt-0.5 flex justify-between text-[10.5px] text-muted"><span>1e-7</span><span>density</span><span>1</span></figcaption>
    </figure>
  );
}

const power = (bin: number): string => format.frequency(10 ** (-7 + bin / 2));
