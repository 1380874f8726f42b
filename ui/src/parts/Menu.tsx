import { Check } from "lucide-react";
import { useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { flushSync } from "react-dom";

export type Item = { key: string; label: ReactNode; hint?: string; isChosen?: boolean; run: () => void };
type Props = { trigger: ReactNode; label: string; title?: string; className?: string; items: Item[]; align?: "start" | "end" };

/** A button with a list of actions or choices. The browser's popover closes it on Esc and on a click elsewhere. */
export function Menu({ trigger, label, title, className = "btn", items, align = "end" }: Props) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const [isOpen, setOpen] = useState(false);
  const isChoice = items.some((item) => item.isChosen !== undefined);

  const all = () => [...(list.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
  const onToggle = (open: boolean) => {
    flushSync(() => setOpen(open)); // its size is needed to place it
    const popup = list.current;
    const at = button.current?.getBoundingClientRect();
    if (!open || !popup || !at) return;
    const { width, height } = popup.getBoundingClientRect();
    const left = align === "start" ? at.left : at.right - width;
    popup.style.left = `${Math.max(8, Math.min(window.innerWidth - width - 8, left))}px`;
    popup.style.top = `${at.bottom + 5 + height > window.innerHeight ? Math.max(8, at.top - 5 - height) : at.bottom + 5}px`;
    (popup.querySelector<HTMLElement>("[aria-checked=true]") ?? all()[0])?.focus();
  };
  const close = () => {
    list.current?.hidePopover();
    button.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const entries = all();
    const here = entries.indexOf(document.activeElement as HTMLElement);
    const n = entries.length;
    const starting = event.key.length === 1 ? entries.findIndex((entry, i) => i > here && entry.textContent?.toLowerCase().startsWith(event.key.toLowerCase())) : -1;
    const to = { ArrowDown: (here + 1) % n, ArrowUp: (here - 1 + n) % n, Home: 0, End: n - 1 }[event.key] ?? starting;
    if (event.key === "Tab") close();
    else if (to >= 0) {
      event.preventDefault();
      entries[to]?.focus();
    }
  };
  return (
    <>
      <button
        ref={button} type="button" className={className} aria-label={label} title={title} aria-haspopup="menu" aria-expanded={isOpen} popoverTarget={id}
        onKeyDown={(event) => event.key === "ArrowDown" && (event.preventDefault(), list.current?.showPopover())}
      >
        {trigger}
      </button>
      <div
        ref={list} id={id} popover="auto" role="menu" aria-label={label} tabIndex={-1} onKeyDown={onKeyDown} onToggle={(event) => onToggle(event.newState === "open")}
        className="card fixed inset-auto m-0 max-h-[min(70dvh,560px)] max-w-[min(440px,calc(100vw-16px))] min-w-44 overflow-auto p-1 text-fg shadow-(--shadow-high) outline-none"
      >
        {isOpen && items.map((item) => (
          <button
            key={item.key} type="button" role={isChoice ? "menuitemradio" : "menuitem"} aria-checked={isChoice ? item.isChosen === true : undefined} tabIndex={-1}
            className="flex w-full items-center gap-2.5 rounded-md px-2.5 py-1.5 text-left text-sm outline-none hover:bg-raised focus:bg-raised focus-visible:outline-2 focus-visible:-outline-offset-2"
            onClick={() => { close(); item.run(); }}
          >
            <span className="min-w-0 flex-1">{item.label}</span>
            {item.hint && <kbd className="text-xs text-muted">{item.hint}</kbd>}
            {item.isChosen && <Check size={14} aria-hidden />}
          </button>
        ))}
      </div>
    </>
  );
}
