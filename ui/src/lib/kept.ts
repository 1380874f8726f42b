/** What this browser remembers of a reviewer: the name, and the reasons given last. */
import { useSyncExternalStore } from "react";

const NAME = "featlas.reviewer";
const REASONS = "featlas.reasons";
const MOST_REASONS = 8;

const listeners = new Set<() => void>();
/** A browser that keeps nothing still knows them until the page is left. */
const unkept = new Map<string, string>();

function read(key: string): string | null {
  try {
    return localStorage.getItem(key) ?? unkept.get(key) ?? null;
  } catch {
    return unkept.get(key) ?? null;
  }
}

function write(key: string, text: string) {
  unkept.set(key, text);
  try {
    localStorage.setItem(key, text);
  } catch {
    // It stays in `unkept`.
  }
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useReviewer = (): string => useSyncExternalStore(subscribe, () => read(NAME) ?? "");
export const setReviewer = (name: string) => write(NAME, name.trim().replace(/\s+/g, " "));

export function readReasons(): string[] {
  try {
    const found: unknown = JSON.parse(read(REASONS) ?? "[]");
    return Array.isArray(found) ? found.filter((reason): reason is string => typeof reason === "string") : [];
  } catch {
    return [];
  }
}

/** The newest reason first, each once. */
export function keepReason(reason: string) {
  if (reason) write(REASONS, JSON.stringify([reason, ...readReasons().filter((other) => other !== reason)].slice(0, MOST_REASONS)));
}
