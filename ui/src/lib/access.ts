/** Whether the server has stopped letting this browser in: whatever was asked last was answered with 401. */
import { useSyncExternalStore } from "react";

let isOut = false;
const listeners = new Set<() => void>();

export function setLockedOut(next: boolean) {
  if (next === isOut) return;
  isOut = next;
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useIsLockedOut = (): boolean => useSyncExternalStore(subscribe, () => isOut);
