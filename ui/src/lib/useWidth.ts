import { useLayoutEffect, useRef, useState, type RefObject } from "react";

/** The width of an element's box, as it changes; `measure` goes on a box that is there from the start. */
export function useWidth(scroller: RefObject<HTMLElement | null>): [number, RefObject<HTMLDivElement | null>] {
  const measure = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const box = measure.current ?? scroller.current;
    if (!box) return undefined;
    setWidth(box.clientWidth);
    const observer = new ResizeObserver(() => setWidth(box.clientWidth));
    observer.observe(box);
    return () => observer.disconnect();
  }, [scroller]);
  return [width, measure];
}
