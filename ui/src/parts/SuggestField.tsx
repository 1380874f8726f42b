import { useId, useState, type KeyboardEvent, type Ref } from "react";

export type Offer = { text: string; hint?: string };
type Props = {
  label: string;
  value: string;
  offers: Offer[];
  onChange: (text: string) => void;
  maxLength: number;
  placeholder?: string;
  autoFocus?: boolean;
  field?: Ref<HTMLInputElement>;
};

/** A line of text with what it could be below it. Arrows and Tab or Enter take an offer; Esc closes the list, and only then the form. */
export function SuggestField({ label, value, offers, onChange, maxLength, placeholder, autoFocus, field }: Props) {
  const [isOpen, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const list = useId();
  const found = isOpen ? offers.filter((offer) => offer.text !== value) : [];
  const n = found.length;
  const take = (offer: Offer) => {
    onChange(offer.text);
    setChosen(-1);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    const offer = found[chosen];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      if (n) setChosen((chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1) + n) % n);
    } else if ((event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) && offer) {
      event.preventDefault();
      take(offer);
    } else if (event.key === "Escape" && n > 0) {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
      setChosen(-1);
    }
  };
  return (
    <span className="relative block">
      <input
        ref={field} className="field mt-0.5 w-full" type="text" value={value} maxLength={maxLength} placeholder={placeholder} autoFocus={autoFocus} autoComplete="off"
        role="combobox" aria-label={label} aria-expanded={n > 0} aria-controls={list} aria-autocomplete="list" aria-activedescendant={found[chosen] ? `${list}-${chosen}` : undefined}
        onChange={(event) => {
          onChange(event.target.value);
          setOpen(true);
          setChosen(-1);
        }}
        onClick={() => setOpen(true)} onBlur={() => setOpen(false)} onKeyDown={onKeyDown}
      />
      <span id={list} role="listbox" aria-label={`Offers: ${label}`} hidden={n === 0} className="card absolute z-30 mt-1 block max-h-60 w-full overflow-auto p-1 font-normal shadow-(--shadow-high)">
        {found.map((offer, i) => (
          <span
            key={offer.text} id={`${list}-${i}`} role="option" aria-selected={i === chosen} tabIndex={-1}
            className={`flex cursor-pointer items-baseline gap-3 rounded-md px-2 py-1 text-sm ${i === chosen ? "bg-raised" : "hover:bg-raised"}`}
            onPointerDown={(event) => { event.preventDefault(); take(offer); }}
          >
            <span className="min-w-0 flex-1 [overflow-wrap:anywhere]">{offer.text}</span>
            {offer.hint && <span className="num shrink-0 text-xs text-muted">{offer.hint}</span>}
          </span>
        ))}
      </span>
    </span>
  );
}
