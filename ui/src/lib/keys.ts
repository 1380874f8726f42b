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

/** Enter and arrows keep their meaning on what can be pressed. */
function isPressable(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("a,button,summary,[role=menuitem],[role=slider]") !== null;
}

function onKeyDown(event: KeyboardEvent) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  if (event.key === "Enter" && isPressable(event.target)) return;
  // A modal dialog owns the keyboard; only keys registered from within one work there.
  const modal = document.querySelector("dialog:modal, [role=menu]:popover-open") !== null;
  const wanted = prefix ? `${prefix} ${event.key}` : event.key;
  window.clearTimeout(prefixTimer);
  prefix = "";
  const found = [...registered].toReversed().find((key) => key.keys === wanted && (!modal || key.group === "Dialog"));
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
    const list = names.split("|").map((name) => ({
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
