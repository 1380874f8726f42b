/** Whether decisions of a review could not be stored, for whoever has left that screen meanwhile. */
import { useSyncExternalStore } from "react";

export type Unstored = { n: number; sae: string };

let unstored: Unstored | null = null;
const listeners = new Set<() => void>();

export function setUnstored(next: Unstored | null) {
  if (next?.n === unstored?.n && next?.sae === unstored?.sae) return;
  unstored = next;
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useUnstored = (): Unstored | null => useSyncExternalStore(subscribe, () => unstored);
