/** The activation under the pointer or the focus, for the line that it draws in the histogram. */
import { useSyncExternalStore } from "react";

let hovered: number | null = null;
const listeners = new Set<() => void>();

export function setHovered(value: number | null) {
  if (value === hovered) return;
  hovered = value;
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useHovered = (): number | null => useSyncExternalStore(subscribe, () => hovered);
