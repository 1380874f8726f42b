import { useEffect, useRef, type ReactNode } from "react";

import { useRowWindow } from "../lib/rowWindow";

type Props<T> = {
  label: string;
  items: T[];
  keyOf: (item: T) => string | number;
  rowHeight: number;
  hasMore: boolean;
  isLoading: boolean;
  onMore: () => void;
  /** Told whenever the newest row comes into sight or goes out of it. */
  onTop?: (isAtTop: boolean) => void;
  head?: ReactNode;
  children: (item: T) => ReactNode;
};

const HEAD_PX = 32;

/** Rows that are asked for page by page as one scrolls; only those in sight exist. */
export function EndlessRows<T>({ label, items, keyOf, rowHeight, hasMore, isLoading, onMore, onTop, head, children }: Props<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useRowWindow(scroller, { count: items.length, rowHeight, overscan: 6, startAt: 0, stickyHeight: head ? HEAD_PX : 0 });
  const isNearEnd = rows.last >= items.length - 10;
  const isAtTop = rows.first === 0;
  useEffect(() => {
    if (isNearEnd && hasMore && !isLoading) onMore();
  }, [isNearEnd, hasMore, isLoading, onMore]);
  useEffect(() => onTop?.(isAtTop), [isAtTop, onTop]);
  const height = items.length * rowHeight + (head ? HEAD_PX : 0) + (hasMore ? HEAD_PX : 0);
  return (
    // Scrolled by keyboard too, so it takes the focus.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div ref={scroller} role="table" aria-label={label} aria-rowcount={hasMore ? -1 : items.length + (head ? 1 : 0)} tabIndex={0} className="rows relative -outline-offset-2" style={{ height: `min(${height + 2}px, 68dvh)` }}>
      {head && <div role="rowgroup" className="sticky top-0 z-10 border-b border-line bg-surface" style={{ height: HEAD_PX }}>{head}</div>}
      <div role="rowgroup" className="relative" style={{ height: rows.height }}>
        {items.slice(rows.first, rows.last + 1).map((item, i) => (
          <div key={keyOf(item)} role="row" aria-rowindex={rows.first + i + (head ? 2 : 1)} className="absolute inset-x-0 border-b border-line" style={{ height: rowHeight, transform: `translateY(${rows.topOf(rows.first + i)}px)` }}>
            {children(item)}
          </div>
        ))}
      </div>
      {hasMore && <p className="px-3 text-xs leading-8 text-muted">Loading more…</p>}
    </div>
  );
}
