import { useQuery } from "@tanstack/react-query";

import { answerQuery } from "../api/labelingQueries";
import * as format from "../lib/format";
import { Dialog } from "./Dialog";
import { Mono, PromptText } from "./PromptText";
import { Bones, ErrorNote } from "./states";

/** The exact question and answer behind a label of a language model. */
export default function AnswerDialog({ label, feature, onClose }: { label: number; feature: number; onClose: () => void }) {
  const query = useQuery(answerQuery(label));
  const kept = query.data;
  return (
    <Dialog title={<>Question and answer <span className="num font-mono font-normal text-muted">#{feature}</span></>} label={`Question and answer for feature ${feature}`} width="860px" onClose={onClose}>
      {query.isPending && <Bones rows={8} className="h-8" />}
      {query.isError && <ErrorNote error={query.error} what="The answer could not be read." retry={() => void query.refetch()} />}
      {kept && (
        <div className="space-y-4">
          <section aria-label="Answer">
            <h3 className="mb-1 text-sm">Answer</h3>
            <Mono label="The answer, word for word" text={kept.text} />
            <p className="num mt-1.5 text-xs text-muted">
              {[
                `by ${kept.answered_by} (${kept.provider})`,
                kept.n_tokens_in === null ? "tokens not counted" : `${format.whole(kept.n_tokens_in)} tokens in, ${format.whole(kept.n_tokens_out)} out`,
                kept.usd === null ? "no price known" : format.usd(kept.usd),
                kept.seconds !== null && `${format.value(kept.seconds)} s`,
              ].filter(Boolean).join(" · ")}
            </p>
          </section>
          <section aria-label="Question">
            <h3 className="mb-1 text-sm">Question</h3>
            <PromptText label="Question" system={String(kept.request["system"] ?? "")} user={String(kept.request["user"] ?? "")} json={{ model: kept.model, ...kept.request }} />
          </section>
        </div>
      )}
    </Dialog>
  );
}
