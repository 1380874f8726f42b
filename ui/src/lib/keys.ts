/** One registry of keys: what is registered is what the sheet of shortcuts shows, and nothing works inside a field. */
import { useEffect, useRef, useSyncExternalStore } from "react";

export type Key = { keys: string; label: string; group: string; run: (event: KeyboardEvent) => void };

const registered = new Set<Key>();
const listeners = new Set<() => void>();
let snapshot: Key[] = [];
let prefix = "";
let prefixTimer = 0;

function changed() {
  snapshot = [...registered];
  for (const listener of listeners) listener();
}

const TYPES_TEXT = /^(INPUT|TEXTAREA|SELECT)$/;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (TYPES_TEXT.test(target.tagName) || target.isContentEditable);
}

/** Enter keeps its meaning on what can be pressed, arrows on what they walk or move. */
function isTaken(key: string, target: EventTarget | null): boolean {
  if (!(target instanceof Element)) return false;
  if (key === "Enter") return target.closest("a,button,summary,[role=menuitem],[role=slider]") !== null;
  return key.startsWith("Arrow") && target.closest(".tk,[role=menuitem],[role=slider]") !== null;
}

/** "1-9" stands for any of these digits. */
const fits = (keys: string, wanted: string): boolean => keys === wanted || (keys === "1-9" && /^[1-9]$/.test(wanted));

function onKeyDown(event: KeyboardEvent) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  if (isTaken(event.key, event.target)) return;
  // A modal dialog owns the keyboard; only keys registered from within one work there.
  const modal = document.querySelector("dialog:modal, [role=menu]:popover-open") !== null;
  const wanted = prefix ? `${prefix} ${event.key}` : event.key;
  window.clearTimeout(prefixTimer);
  prefix = "";
  const found = [...registered].toReversed().find((key) => fits(key.keys, wanted) && (!modal || key.group === "Dialog"));
  if (found) {
    event.preventDefault();
    found.run(event);
  } else if (!modal && snapshot.some((key) => key.keys.startsWith(`${event.key} `))) {
    prefix = event.key;
    prefixTimer = window.setTimeout(() => (prefix = ""), 1200);
  }
}

let isListening = false;

function register(keys: Key[]): () => void {
  if (!isListening) {
    isListening = true;
    document.addEventListener("keydown", onKeyDown);
  }
  for (const key of keys) registered.add(key);
  changed();
  return () => {
    for (const key of keys) registered.delete(key);
    changed();
  };
}

/** Registers keys while the component is shown; the functions may change with every render. */
export function useKeys(group: string, keys: Record<string, [label: string, run: (event: KeyboardEvent) => void]>) {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  const names = Object.keys(keys).join("|");
  useEffect(() => {
    const list = names.split("|").filter(Boolean).map((name) => ({
      keys: name,
      label: latest.current[name]?.[0] ?? "",
      group,
      run: (event: KeyboardEvent) => latest.current[name]?.[1](event),
    }));
    return register(list);
  }, [group, names]);
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useRegisteredKeys = (): Key[] => useSyncExternalStore(subscribe, () => snapshot);
