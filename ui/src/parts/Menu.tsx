import { Menu as Base } from "@base-ui/react/menu";
import { Check } from "lucide-react";
import type { ReactNode } from "react";

export type Item = { key: string; label: ReactNode; hint?: string; isChosen?: boolean; run: () => void };
type Props = { trigger: ReactNode; label: string; title?: string; className?: string; items: Item[]; align?: "start" | "end" };

/** A button with a list of actions or choices. */
export function Menu({ trigger, label, title, className = "btn", items, align = "end" }: Props) {
  return (
    <Base.Root modal={false}>
      <Base.Trigger className={className} aria-label={label} title={title}>{trigger}</Base.Trigger>
      <Base.Portal>
        <Base.Positioner sideOffset={5} align={align} className="z-40 outline-none">
          <Base.Popup className="card max-h-[min(70dvh,560px)] max-w-[min(440px,calc(100vw-16px))] min-w-44 overflow-auto p-1 shadow-(--shadow-high) outline-none">
            {items.map((item) => (
              <Base.Item
                key={item.key}
                onClick={item.run}
                className="flex items-center gap-2.5 rounded-md px-2.5 py-1.5 text-sm outline-none data-highlighted:bg-raised"
              >
                <span className="min-w-0 flex-1">{item.label}</span>
                {item.hint && <kbd className="text-xs text-muted">{item.hint}</kbd>}
                {item.isChosen && <Check size={14} aria-label="chosen" />}
              </Base.Item>
            ))}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
