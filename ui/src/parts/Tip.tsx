import { useEffect, useLayoutEffect, useRef, useState } from "react";

import type { Mark } from "../api/types";
import * as format from "../lib/format";
import { setHovered } from "../lib/hovered";
import { shareBelow, type Shade } from "../lib/segments";
import { painted } from "./TokenText";

type Shown = { anchor: Element; text: string; mark?: { mark: Mark; of: Shade } };

function find(target: EventTarget | null): Shown | null {
  if (!(target instanceof Element)) return null;
  const anchor = target.closest(".tk, [data-tip]");
  if (!anchor) return null;
  const tip = anchor.getAttribute("data-tip");
  if (tip !== null) return { anchor, text: tip };
  const text = painted.get(anchor.closest("[data-tt]") ?? anchor);
  const segment = Number(anchor.getAttribute("data-m"));
  const mark = text?.content.marks.find((m) => m.segment === segment);
  return text && mark ? { anchor, text: "", mark: { mark, of: text } } : null;
}

/** Marks whose token is the same one light up together. */
function echo(anchor: Element | null) {
  for (const other of document.querySelectorAll(".tk[data-echo]")) other.removeAttribute("data-echo");
  const id = anchor?.getAttribute("data-t");
  if (!id) return;
  for (const other of document.querySelectorAll(`.tk[data-t="${id}"]`)) if (other !== anchor) other.setAttribute("data-echo", "");
}

function walk(event: KeyboardEvent) {
  const from = event.target;
  if (!(from instanceof HTMLElement) || !from.matches(".tk[tabindex]")) return;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const all = [...(from.closest("[data-tt]")?.querySelectorAll<HTMLElement>(".tk[tabindex]") ?? [])];
  const to = event.key === "Home" ? all[0] : event.key === "End" ? all.at(-1) : step && all[all.indexOf(from) + step];
  if (!to) return;
  event.preventDefault();
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

const HIDE = "featlas:hide-tip";

/** For who takes what is under the pointer away, which tells nobody. */
export const hideTip = () => document.dispatchEvent(new Event(HIDE));

/** The one tooltip of the product: for tokens, and for whatever carries data-tip. */
export function Tip() {
  const [shown, setShown] = useState<Shown | null>(null);
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const show = (event: Event) => {
      const found = find(event.target);
      setShown((before) => (before?.anchor === found?.anchor ? before : found));
      setHovered(found?.mark?.mark.value ?? null);
      echo(found?.mark ? found.anchor : null);
    };
    const hide = () => {
      setShown(null);
      setHovered(null);
      echo(null);
    };
    const onKey = (event: KeyboardEvent) => (event.key === "Escape" ? hide() : walk(event));
    document.addEventListener("pointerover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("focusout", hide);
    document.addEventListener("keydown", onKey);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("pointerdown", hide);
    document.addEventListener(HIDE, hide);
    return () => {
      document.removeEventListener("pointerover", show);
      document.removeEventListener("focusin", show);
      document.removeEventListener("focusout", hide);
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("scroll", hide, true);
      document.removeEventListener("pointerdown", hide);
      document.removeEventListener(HIDE, hide);
    };
  }, []);

  useLayoutEffect(() => {
    const tip = box.current;
    if (!tip) return undefined;
    if (!shown?.anchor.isConnected) {
      tip.hidePopover();
      return undefined;
    }
    tip.showPopover(); // into the top layer, above open dialogs
    place(tip, shown.anchor);
    if (!shown.text) return undefined;
    shown.anchor.setAttribute("aria-describedby", "tip");
    return () => shown.anchor.removeAttribute("aria-describedby");
  }, [shown]);

  return (
    <div ref={box} id="tip" role="tooltip" className="tip" popover="manual">
      {shown?.mark ? <MarkTip {...shown.mark} /> : shown?.text}
    </div>
  );
}

function place(tip: HTMLElement, anchor: Element) {
  const at = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - width / 2), window.innerWidth - width - 8);
  const top = at.top - height - 8 < 4 ? at.bottom + 8 : at.top - height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

function MarkTip({ mark, of: { max, firings } }: { mark: Mark; of: Shade }) {
  const rank = (value: number | null) => (value === null || !firings ? null : shareBelow(firings, value));
  return (
    <table className="num border-separate border-spacing-x-2 border-spacing-y-0.5 -mx-2">
      <tbody>
        {mark.tokens.map((token) => (
          <tr key={token.position}>
            <td className="font-mono max-w-48 truncate">{JSON.stringify(token.token).slice(0, 80)}</td>
            <td className="font-semibold whitespace-nowrap">{token.value === null ? "does not fire" : format.value(token.value)}</td>
            <td className="whitespace-nowrap">{token.value !== null && max > 0 && `${format.percent(token.value / max)} of max`}</td>
            {firings && <td>{rank(token.value) !== null && `above ${format.percent(rank(token.value))} of firings`}</td>}
            <td className="opacity-80">position {token.position} · id {token.token_id}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
