import { Search, X } from "lucide-react";
import { useId, useRef, useState, type KeyboardEvent } from "react";

import { ApiError } from "../../api/client";
import type { QueryPart } from "../../api/types";
import { useKeys } from "../../lib/keys";
import { accept, suggest, type Suggestion } from "../../lib/suggest";
import { causeOf } from "../../parts/states";

type Props = { q: string; parts: QueryPart[]; error: Error | null; isBusy: boolean; group?: string; placeholder?: string; onChange: (q: string) => void };

const USUAL = 'Filter features:  court  ·  token:" court"  ·  density:1e-4..1e-2  ·  is:labeled';

/** The query as text, and as chips that can be taken out one by one. */
export function QueryBar({ q, parts, error, isBusy, group = "List", placeholder = USUAL, onChange }: Props) {
  const [text, setText] = useState(q);
  const [chosen, setChosen] = useState(-1);
  const [found, setFound] = useState<Suggestion[]>([]);
  const field = useRef<HTMLInputElement>(null);
  const list = useId();
  const [seen, setSeen] = useState(q);
  if (seen !== q) {
    setSeen(q);
    setText(q);
  }
  useKeys(group, { "/": ["Write a query", () => field.current?.select()] });

  const look = (value: string, cursor: number | null) => {
    setFound(suggest(value, cursor ?? value.length));
    setChosen(-1);
  };
  const close = () => setFound([]);
  const commit = (value: string) => {
    close();
    onChange(value.trim());
  };
  const take = (suggestion: Suggestion) => {
    const input = field.current;
    const next = accept(text, input?.selectionStart ?? text.length, suggestion);
    setText(next.text);
    requestAnimationFrame(() => {
      input?.setSelectionRange(next.cursor, next.cursor);
      look(next.text, next.cursor);
    });
  };
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    const n = found.length;
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && n) {
      event.preventDefault();
      setChosen((chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1) + n) % n);
    } else if ((event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) && found[chosen]) {
      event.preventDefault();
      take(found[chosen]);
    } else if (event.key === "Enter") {
      commit(text);
    } else if (event.key === "Escape") {
      if (n) close();
      else if (text !== q) setText(q);
      else field.current?.blur();
    }
  };

  return (
    <div className="relative">
      <div className="relative">
        <Search size={15} className="pointer-events-none absolute top-2.5 left-2.5 text-muted" aria-hidden />
        <input
          ref={field} type="text" value={text} placeholder={placeholder}
          className="field h-9 w-full pr-20 pl-8 font-mono text-[13px]" spellCheck={false} autoComplete="off" autoCapitalize="off"
          role="combobox" aria-label="Query" aria-expanded={found.length > 0} aria-controls={list} aria-autocomplete="list"
          aria-activedescendant={chosen >= 0 ? `${list}-${chosen}` : undefined} aria-invalid={error !== null}
          onChange={(event) => {
            setText(event.target.value);
            look(event.target.value, event.target.selectionStart);
          }}
          onClick={(event) => look(text, event.currentTarget.selectionStart)}
          onBlur={close} onKeyDown={onKeyDown}
        />
        <span className="absolute top-1 right-1 flex items-center gap-1">
          {isBusy && <span className="late text-xs text-muted">updating…</span>}
          {text && (
            <button type="button" className="btn btn-quiet px-1.5" aria-label="Clear the query" onClick={() => { setText(""); commit(""); field.current?.focus(); }}>
              <X size={15} aria-hidden />
            </button>
          )}
          {!text && <kbd className="mr-1 rounded border border-line bg-raised px-1.5 text-xs text-muted" title="Press / to write a query">/</kbd>}
        </span>
      </div>
      <ul id={list} role="listbox" aria-label="Suggestions" hidden={found.length === 0} className="card absolute z-30 mt-1 max-h-80 w-full max-w-2xl overflow-auto p-1 shadow-(--shadow-high)">
        {found.map((suggestion, i) => (
          <li
            key={suggestion.insert} id={`${list}-${i}`} role="option" aria-selected={i === chosen}
            className={`flex cursor-pointer items-baseline gap-3 rounded-md px-2.5 py-1 text-sm ${i === chosen ? "bg-raised" : "hover:bg-raised"}`}
            onPointerDown={(event) => { event.preventDefault(); take(suggestion); }}
          >
            <code className="shrink-0 text-[12.5px]">{suggestion.insert.trim()}</code>
            <span className="min-w-0 truncate text-xs text-muted">{suggestion.hint}</span>
          </li>
        ))}
      </ul>
      {error && <QueryFault q={q} error={error} />}
      {parts.length > 0 && <Chips parts={parts} onChange={onChange} />}
    </div>
  );
}

function QueryFault({ q, error }: { q: string; error: Error }) {
  const place = error instanceof ApiError ? error.problem?.position : null;
  if (!place) return null;
  const [start, end] = place;
  return (
    <div role="alert" className="mt-1.5 rounded-lg bg-bad-wash px-3 py-2 text-sm">
      <code className="block overflow-x-auto text-[13px] whitespace-pre">
        {q.slice(0, start)}
        <span className="rounded-sm bg-bad/25 underline decoration-bad decoration-wavy underline-offset-4">{q.slice(start, end) || " "}</span>
        {q.slice(end)}
      </code>
      <p className="mt-1">{causeOf(error)}</p>
    </div>
  );
}

function Chips({ parts, onChange }: { parts: QueryPart[]; onChange: (q: string) => void }) {
  return (
    <ul className="mt-1.5 flex flex-wrap gap-1.5" aria-label="Conditions">
      {parts.map((part) => (
        <li key={part.start} className="inline-flex min-w-0 items-center rounded-full border border-line bg-data-wash pl-2.5">
          <code className="truncate text-xs">{part.text}</code>
          <button type="button" className="flex size-6 shrink-0 items-center justify-center rounded-full text-muted hover:text-fg" aria-label={`Remove ${part.text}`} onClick={() => onChange(part.without.trim())}>
            <X size={12} aria-hidden />
          </button>
        </li>
      ))}
    </ul>
  );
}
