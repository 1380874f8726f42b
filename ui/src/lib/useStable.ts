import { useLayoutEffect, useRef, useState } from "react";

type Deed = (...given: never[]) => void;

/** Functions that keep their identity and do what the newest render says: parts that were drawn ahead need not be drawn again. */
export function useStable<T extends Record<keyof T, Deed>>(deeds: T): T {
  const latest = useRef(deeds);
  useLayoutEffect(() => {
    latest.current = deeds;
  });
  const [stable] = useState(() => {
    const names = Object.keys(deeds) as (keyof T)[];
    return Object.fromEntries(names.map((name) => [name, (...given: never[]) => latest.current[name](...given)])) as T;
  });
  return stable;
}
