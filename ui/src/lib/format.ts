/** Numbers as people read them; the full figure is always in a tooltip or in "copy as". */

const WHOLE = new Intl.NumberFormat("en-US");
const NONE = "–";

export const whole = (n: number | null | undefined): string => (n === null || n === undefined ? NONE : WHOLE.format(n));

/** 2,097,152 → 2.1M; small counts stay exact. */
export function brief(n: number | null | undefined): string {
  if (n === null || n === undefined || Number.isNaN(n)) return NONE;
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (n >= size * (size === 1e3 ? 10 : 1)) return `${trim((n / size).toPrecision(3))}${unit}`;
  }
  return WHOLE.format(n);
}

const trim = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** A measured value with three digits that count. */
export function value(x: number | null | undefined): string {
  if (x === null || x === undefined || Number.isNaN(x)) return NONE;
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return scientific(x);
  if (size >= 1000) return WHOLE.format(Math.round(x));
  return size >= 100 ? x.toFixed(0) : trim(x.toPrecision(3));
}

function scientific(x: number): string {
  const [digits = "", power = "0"] = x.toExponential(1).split("e");
  return `${trim(digits)}e${Number(power)}`;
}

/** A share of something as a percentage, never "0 %" for what is not zero. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || Number.isNaN(share)) return NONE;
  const p = share * 100;
  if (p === 0) return "0 %";
  if (p < 0.01) return `${scientific(p)} %`;
  if (p >= 99.95 && p < 100) return "> 99.9 %";
  return p === 100 ? "100 %" : `${p >= 10 ? p.toFixed(1) : p.toPrecision(2)} %`;
}

/** 10.0 % → 10 %, for axes. */
export const round = (text: string): string => text.replace(/\.(\d*?)0+ %$/, (_, kept: string) => `${kept ? `.${kept}` : ""} %`);

/** A frequency: a percentage where people think in one, else a power of ten. */
export function frequency(f: number | null | undefined): string {
  if (f === null || f === undefined || Number.isNaN(f)) return NONE;
  if (f === 0) return "0";
  return f >= 1e-4 ? percent(f) : scientific(f);
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/** Money of an answer is far below a cent: two digits that count, or cents. */
export function usd(x: number | null | undefined): string {
  if (x === null || x === undefined || Number.isNaN(x)) return NONE;
  if (x === 0) return "$0";
  if (x >= 0.1) return `$${new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(x)}`;
  return `$${trim(x.toFixed(Math.min(12, 1 - Math.floor(Math.log10(x)))))}`;
}

/** "3 min ago", and the exact instant belongs in a title. */
export function ago(iso: string, now = Date.now()): string {
  const s = (now - Date.parse(iso)) / 1000;
  if (s < 45) return "just now";
  if (s < 3600) return `${Math.max(1, Math.round(s / 60))} min ago`;
  if (s < 86_400) return `${Math.round(s / 3600)} h ago`;
  if (s < 30 * 86_400) return `${Math.round(s / 86_400)} d ago`;
  return iso.slice(0, 10);
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${whole(n)} ${n === 1 ? one : many}`;

/** A token as a chip shows it: spaces and line breaks must be seen. */
export function visibleToken(token: string): string {
  return token.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/\r/g, "␍").replace(/^ +| +$/g, (s) => "␣".repeat(s.length));
}

export const words = (name: string): string => name.replaceAll("_", " ");
