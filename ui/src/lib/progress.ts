/** A job's progress as the worker tells it; every figure may be missing. */
import type { Job } from "../api/types";
import * as format from "./format";

export type Phase = { phase: string; unit: string; done: number; total: number | null; elapsed_s: number | null; rate: number | null; eta_s: number | null };
export type JobProgress = Phase & { share: number | null; figures: [string, number][]; phases: Phase[] };

const num = (x: unknown): number | null => (typeof x === "number" && Number.isFinite(x) ? x : null);

function readPhase(told: Record<string, unknown>): Phase {
  return {
    phase: typeof told["phase"] === "string" ? told["phase"] : "",
    unit: typeof told["unit"] === "string" ? told["unit"] : "",
    done: num(told["done"]) ?? 0,
    total: num(told["total"]),
    elapsed_s: num(told["elapsed_s"]),
    rate: num(told["rate"]),
    eta_s: num(told["eta_s"]),
  };
}

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);

export function readProgress(told: Job["progress"]): JobProgress | null {
  if (!told) return null;
  const phase = readPhase(told);
  const figures = isRecord(told["figures"]) ? told["figures"] : {};
  return {
    ...phase,
    share: phase.total ? Math.min(1, phase.done / phase.total) : null,
    figures: Object.entries(figures).filter((pair): pair is [string, number] => typeof pair[1] === "number"),
    phases: Array.isArray(told["phases"]) ? told["phases"].filter(isRecord).map(readPhase) : [],
  };
}

export const isOver = (state: Job["state"]): boolean => state === "succeeded" || state === "failed" || state === "cancelled";

export function rateText(p: Phase): string {
  return p.rate === null ? "" : `${format.value(p.rate)} ${p.unit || "steps"}/s`;
}

export function doneText(p: Phase): string {
  const total = p.total === null ? "" : ` of ${format.whole(p.total)}`;
  return p.done === 0 && p.total === null ? "" : `${format.whole(p.done)}${total} ${p.unit}`.trim();
}
