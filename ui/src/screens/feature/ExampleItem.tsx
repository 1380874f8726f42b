import { useQuery } from "@tanstack/react-query";
import { ChevronRight } from "lucide-react";
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState, type MouseEvent, type RefObject } from "react";

import { documentQuery } from "../../api/queries";
import type { DocumentPiece, Example, Histogram } from "../../api/types";
import * as format from "../../lib/format";
import { withPeak } from "../../lib/locate";
import type { Reach } from "../../lib/search";
import type { Scale } from "../../lib/segments";
import { ErrorNote } from "../../parts/states";
import { Snippet, TokenText } from "../../parts/TokenText";

type Props = { example: Example; sae: string; index: number; run: string | undefined; max: number; firings: Histogram; range: Reach; scale: Scale; breaks: boolean };
const AROUND = 256;

/** An example; a click opens its document in place, with the peak where it was on screen. */
export const ExampleItem = memo(function ExampleItem(props: Props) {
  const { example, max, firings, range, scale, breaks } = props;
  const [isOpen, setOpen] = useState(false);
  const item = useRef<HTMLLIElement>(null);
  const still = useStill(item);
  const toggle = () => {
    still.remember();
    setOpen(!isOpen);
  };
  useLayoutEffect(() => still.settle());
  const onTextClick = (event: MouseEvent) => {
    if (!isOpen && (window.getSelection()?.isCollapsed ?? true) && event.detail < 2) toggle();
  };
  const text = { content: example.content, max, firings, scale, breaks };
  return (
    <li ref={item} className="group grid grid-cols-[4.25rem_minmax(0,1fr)] gap-x-2 px-2 py-1.5 sm:px-3">
      <div className="num relative z-1 flex flex-col bg-surface text-xs">
        <button type="button" className="relative -ml-1 inline-flex min-h-[24px] items-center gap-0.5 self-start rounded px-0.5 text-left hover:bg-raised" aria-expanded={isOpen} title="Open the document" onClick={toggle}>
          <ChevronRight size={13} className={`text-muted transition-transform ${isOpen ? "rotate-90" : ""}`} aria-hidden />
          <span className="font-medium">{example.max_activation === null ? "silent" : format.value(example.max_activation)}</span>
          <span className="sr-only">: {isOpen ? "close" : "open"} the document of example {example.place + 1}</span>
        </button>
        {example.n_similar > 1 && range !== "stacked" && <span className="pl-4 text-muted" data-tip={`The eight tokens on both sides of the peak occur ${format.whole(example.n_similar)} times in the corpus; shown once.`} tabIndex={0}>×{format.whole(example.n_similar)}</span>}
      </div>
      {isOpen ? (
        <OpenDocument {...props} still={still} />
      ) : (
        // The button beside it does the same for the keyboard.
        // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-static-element-interactions
        <div className="min-w-0 cursor-zoom-in" onClick={onTextClick}>
          {range === "full" ? <TokenText {...text} /> : range === "stacked" ? <TokenText {...text} stack /> : <Snippet {...text} before={22} after={18} />}
        </div>
      )}
    </li>
  );
});

type Still = { remember: () => void; settle: () => void };

/** Keeps the peak at its height on screen while the text around it changes. */
function useStill(item: RefObject<HTMLElement | null>): Still {
  const before = useRef<number | null>(null);
  return useMemo(() => {
    const top = () => item.current?.querySelector(".tk[data-peak]")?.getBoundingClientRect().top ?? null;
    return {
      remember: () => {
        before.current = top();
      },
      settle: () => {
        if (before.current === null) return; // measuring costs a layout
        const now = top();
        if (now !== null) document.getElementById("main")?.scrollBy({ top: now - before.current, behavior: "instant" });
        before.current = null;
      },
    };
  }, [item]);
}

function OpenDocument({ example, sae, index, run, max, firings, scale, breaks, still }: Props & { still: Still }) {
  const [reach, setReach] = useState(AROUND);
  const [piece, setPiece] = useState<DocumentPiece | undefined>();
  const first = Math.max(0, example.token_offset - reach);
  const n = Math.min(4096, example.token_offset - first + example.content.ends.length + reach);
  const query = useQuery(documentQuery(sae, example.document, { run, feature: index, first, n }));
  const loaded = query.data;
  // What is on screen must be measured before the new text takes its place, which only an effect can do.
  useEffect(() => {
    if (!loaded) return;
    still.remember();
    // oxlint-disable-next-line react/set-state-in-effect
    setPiece(loaded);
  }, [loaded, still]);
  useLayoutEffect(() => still.settle());
  const title = piece?.metadata["title"];
  const isWhole = piece && piece.first_token === 0 && piece.n_tokens >= piece.n_document_tokens;
  return (
    <div className="min-w-0">
      <p className="num mb-1 flex flex-wrap items-center gap-x-2 text-xs text-muted">
        {piece ? (
          <>
            <span className="font-medium text-fg">{typeof title === "string" && title ? title : piece.external_id || `document ${piece.document}`}</span>
            <span>{piece.source}</span>
            <span>tokens {format.whole(piece.first_token)} – {format.whole(piece.first_token + piece.n_tokens)} of {format.whole(piece.n_document_tokens)}</span>
            <span data-tip="Labelers read documents of the label split only; scores rest on the score split." tabIndex={0}>{piece.split} split</span>
          </>
        ) : "Loading the document…"}
      </p>
      {query.isError && <ErrorNote error={query.error} what="The document could not be read." retry={() => void query.refetch()} />}
      <TokenText content={piece ? withPeak(piece, example) : example.content} max={max} firings={firings} scale={scale} breaks={breaks} />
      {piece && !isWhole && reach < 1900 && <button type="button" className="btn mt-1.5 text-xs" onClick={() => setReach(reach * 4)} disabled={query.isFetching}>More of the document</button>}
    </div>
  );
}
