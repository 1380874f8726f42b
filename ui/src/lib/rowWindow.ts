/** Which rows of equal height are on screen. Nothing is kept per row, so a million rows cost what ten cost. */
import { useCallback, useLayoutEffect, useState, type RefObject } from "react";

/** Browsers stop counting pixels somewhere above this; a longer list scrolls faster than the bar moves. */
const MOST_PX = 12_000_000;

export type RowWindow = {
  first: number;
  last: number;
  /** Height of the box that is scrolled. */
  height: number;
  topOf: (row: number) => number;
  scrollTo: (row: number) => void;
};

export type Geometry = { count: number; rowHeight: number; viewHeight: number };

export function boxHeight({ count, rowHeight }: Geometry): number {
  return Math.min(count * rowHeight, MOST_PX);
}

/** Where the list stands when the box is scrolled so far: the same, unless the list is longer than a box can be. */
export function listTop(g: Geometry, scrollTop: number): number {
  const most = Math.max(1, boxHeight(g) - g.viewHeight);
  return g.count * g.rowHeight <= MOST_PX ? scrollTop : (Math.min(scrollTop, most) * (g.count * g.rowHeight - g.viewHeight)) / most;
}

export function boxTop(g: Geometry, top: number): number {
  const most = Math.max(1, g.count * g.rowHeight - g.viewHeight);
  return g.count * g.rowHeight <= MOST_PX ? top : (Math.min(top, most) * (boxHeight(g) - g.viewHeight)) / most;
}

export function rowsAt(g: Geometry, scrollTop: number, overscan: number): { first: number; last: number } {
  const top = listTop(g, scrollTop);
  return {
    first: Math.max(0, Math.min(g.count - 1, Math.floor(top / g.rowHeight)) - overscan),
    last: Math.min(g.count - 1, Math.floor((top + g.viewHeight) / g.rowHeight) + overscan),
  };
}

type Options = { count: number; rowHeight: number; overscan: number; startAt: number; stickyHeight?: number };

export function useRowWindow(scroller: RefObject<HTMLElement | null>, { count, rowHeight, overscan, startAt, stickyHeight = 0 }: Options): RowWindow {
  const [view, setView] = useState({ scrollTop: 0, viewHeight: 0 });
  const geometry: Geometry = { count, rowHeight, viewHeight: view.viewHeight };
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box) return undefined;
    const look = () => setView((before) => (before.scrollTop === box.scrollTop && before.viewHeight === box.clientHeight ? before : { scrollTop: box.scrollTop, viewHeight: box.clientHeight }));
    const observer = new ResizeObserver(look);
    observer.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    look();
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, [scroller]);
  // Once, and again when rows change their height: the row one was at stays where one looks.
  useLayoutEffect(() => {
    const box = scroller.current;
    box?.scrollTo({ top: boxTop({ count, rowHeight, viewHeight: box.clientHeight }, Math.max(0, startAt - 2) * rowHeight) });
    // oxlint-disable-next-line react/exhaustive-effect-dependencies, react-hooks/exhaustive-deps
  }, [rowHeight, scroller]);
  const scrollTo = useCallback(
    (row: number) => {
      const box = scroller.current;
      if (!box) return;
      const g = { count, rowHeight, viewHeight: box.clientHeight };
      const top = listTop(g, box.scrollTop);
      const wanted = Math.min(row * rowHeight, Math.max(top, (row + 1) * rowHeight + stickyHeight - box.clientHeight));
      if (wanted !== top) box.scrollTo({ top: boxTop(g, wanted) });
    },
    [scroller, count, rowHeight, stickyHeight],
  );
  const shift = view.scrollTop - listTop(geometry, view.scrollTop);
  return { ...rowsAt(geometry, view.scrollTop, overscan), height: boxHeight(geometry), topOf: (row) => row * rowHeight + shift, scrollTo };
}
