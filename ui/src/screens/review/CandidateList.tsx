import { Link } from "@tanstack/react-router";
import { Check, TriangleAlert } from "lucide-react";
import { lazy, Suspense, useState } from "react";

import type { FeatureLabels, Label } from "../../api/types";
import { MOST_BY_KEY, silentOf, type Candidate } from "../../lib/candidates";
import { causeWords } from "../../lib/causes";
import * as format from "../../lib/format";
import { lintText } from "../../lib/lint";
import { ReviewGlyph, SourceGlyph } from "../../parts/small";
import { Key } from "./Key";

const AnswerDialog = lazy(() => import("../../parts/AnswerDialog"));

type Props = { labels: FeatureLabels; candidates: Candidate[]; chosen: Label | undefined; onChoose: (label: Label) => void };

/** What was said of the feature, to choose from by number; who had nothing to say is told below. */
export function CandidateList({ labels, candidates, chosen, onChoose }: Props) {
  const [answer, setAnswer] = useState<Label | null>(null);
  const silent = silentOf(labels);
  return (
    <>
      {candidates.length === 0 && <p className="card p-3 text-sm text-muted">{silent.length ? "Nobody has said anything that could be accepted." : "It has no label yet."} Write one.</p>}
      <ol className="space-y-2" aria-label="Candidates">
        {candidates.map((candidate, i) => (
          <CandidateCard key={candidate.label.id} candidate={candidate} number={i + 1} isChosen={candidate.label.id === chosen?.id} onChoose={onChoose} onAnswer={setAnswer} />
        ))}
      </ol>
      {silent.length > 0 && (
        <ul className="mt-2 space-y-1.5 text-xs text-muted" aria-label="Answers without a label">
          {silent.map((label) => (
            <li key={label.id} className="flex items-start gap-1.5 px-1">
              <span className="mt-px"><SourceGlyph source={label.source} size={12} /></span>
              <span className="min-w-0 flex-1 [overflow-wrap:anywhere]">
                {labelerOf(label)} {label.status === "abstained" ? "abstained" : `failed: ${causeWords(label.failure_cause ?? "").what.toLowerCase() || "no label"}`}
                {label.explanation && <>. {label.explanation}</>} · <Made label={label} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {answer && <Suspense><AnswerDialog label={answer.id} feature={answer.feature_index} onClose={() => setAnswer(null)} /></Suspense>}
    </>
  );
}

const labelerOf = (label: Label): string =>
  label.source === "human" ? (label.created_by ?? "a person") : label.model ? `${label.model} (${label.provider ?? label.source})` : (label.provider ?? label.source);

const Made = ({ label }: { label: Label }) => <time className="whitespace-nowrap" dateTime={label.created_at} title={label.created_at}>{format.ago(label.created_at)}</time>;

type CardProps = { candidate: Candidate; number: number; isChosen: boolean; onChoose: (label: Label) => void; onAnswer: (label: Label) => void };

function CandidateCard({ candidate: { label, n }, number, isChosen, onChoose, onAnswer }: CardProps) {
  const isRejected = label.review_state === "rejected";
  const key = number <= MOST_BY_KEY ? String(number) : null;
  return (
    <li className={`card relative overflow-hidden ${isChosen ? "border-fg outline-1 outline-fg" : ""}`}>
      <button
        type="button" aria-pressed={isChosen} title={`Choose${key ? ` (${key})` : ""}`} onClick={() => onChoose(label)}
        className="flex w-full items-start gap-2 px-3 pt-2.5 pb-1 text-left before:absolute before:inset-0 before:content-[''] hover:bg-raised focus-visible:-outline-offset-2"
      >
        {key && <Key text={key} />}
        <span className={`min-w-0 flex-1 text-[15px] leading-snug [overflow-wrap:anywhere] ${isRejected ? "text-muted line-through" : "font-medium"}`}>{label.semantic_label}</span>
        {isChosen && <Check size={16} className="mt-0.5 shrink-0" aria-hidden />}
      </button>
      <div className="px-3 pb-2.5 text-sm">
        {label.category_label && <p className="text-xs text-muted">{label.category_label}</p>}
        {label.lint.map((code) => (
          <p key={code} className="mt-1 flex items-start gap-1 text-xs text-bad"><TriangleAlert size={12} className="mt-0.5 shrink-0" aria-hidden /> <span><span className="sr-only">Lint, </span>{lintText(code)}</span></p>
        ))}
        {label.explanation && <p className="mt-1 text-[13px] [overflow-wrap:anywhere]">{label.explanation}</p>}
        {isRejected && <p className="mt-1 text-xs text-muted">Rejected{label.reject_reason && `: ${label.reject_reason}`}</p>}
        <p className="mt-1.5 flex flex-wrap items-center gap-x-2.5 gap-y-0.5 text-xs text-muted">
          <span className="flex gap-1"><SourceGlyph source={label.source} size={12} /><ReviewGlyph state={label.review_state} size={12} /></span>
          {label.is_current && <span className="rounded-full bg-raised px-1.5 font-medium text-fg">in force</span>}
          <span className="[overflow-wrap:anywhere]">{labelerOf(label)}</span>
          <Made label={label} />
          {label.confidence !== null && <span className="num">confidence {format.percent(label.confidence)}</span>}
          {n > 1 && <span className="num">said {format.whole(n)} times</span>}
          {label.job !== null && <Link to="/jobs/$job" params={{ job: String(label.job) }} className="num relative underline hover:text-fg">job {label.job}</Link>}
          {label.has_answer && <button type="button" className="relative underline hover:text-fg" onClick={() => onAnswer(label)}>question and answer</button>}
        </p>
      </div>
    </li>
  );
}
