import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";

import { templateOfVersionQuery } from "../../api/labelingQueries";
import type { Label } from "../../api/types";
import * as format from "../../lib/format";

const AnswerDialog = lazy(() => import("../../parts/AnswerDialog"));

/** Where a label comes from: who, in which words, for how much, and the exact question and answer where they are kept. */
export function Provenance({ label }: { label: Label }) {
  const [isAsked, setAsked] = useState(false);
  const who = label.source === "human" ? (label.created_by ?? "a person") : [label.provider ?? label.source, label.model].filter(Boolean).join(", ");
  const details = [
    `source: ${label.source}`,
    label.evidence_run !== null && `evidence: run ${label.evidence_run}`,
    label.job !== null && `job ${label.job}`,
    label.confidence !== null && `confidence ${format.value(label.confidence)}`,
    label.created_at,
    label.evidence && JSON.stringify(label.evidence).slice(0, 400),
  ].filter((line): line is string => typeof line === "string");
  return (
    <div className="mt-1 text-xs text-muted">
      <p data-tip={details.join("\n")} tabIndex={0}>
        by {who} · {format.ago(label.created_at)}
        {label.confidence !== null && ` · confidence ${format.percent(label.confidence)}`}
      </p>
      {label.template_version_id !== null && <TemplateLine version={label.template_version_id} />}
      {label.n_tokens_in !== null && <p className="num">{costOf(label)}</p>}
      <p className="mt-0.5 flex flex-wrap gap-x-3">
        {label.has_answer && <button type="button" className="underline hover:text-fg" onClick={() => setAsked(true)}>Question and answer</button>}
        {label.job !== null && <Link to="/jobs/$job" params={{ job: String(label.job) }} className="num underline hover:text-fg">Job {label.job}</Link>}
      </p>
      {isAsked && <Suspense><AnswerDialog label={label.id} feature={label.feature_index} onClose={() => setAsked(false)} /></Suspense>}
    </div>
  );
}

function TemplateLine({ version }: { version: number }) {
  const query = useQuery(templateOfVersionQuery(version));
  const template = query.data;
  if (!template) return query.isError ? <p>template not there any more</p> : <p>template …</p>;
  const isOld = template.version < template.n_versions;
  return (
    <p>
      template <Link to="/templates/$ref" params={{ ref: String(template.id) }} search={isOld ? { from: template.version } : {}} className="underline hover:text-fg">{template.name}, version {template.version}</Link>
      {isOld && <span title="The template says something else by now"> (there is version {template.n_versions})</span>}
    </p>
  );
}

/** An answer that was known before was paid once, by another label. */
function costOf(label: Label): string {
  const tokens = (label.n_tokens_in ?? 0) + (label.n_tokens_out ?? 0);
  if (tokens === 0) return "answer known before, at no cost";
  return [
    `${format.whole(label.n_tokens_in)} tokens in, ${format.whole(label.n_tokens_out)} out`,
    label.usd !== null && format.usd(label.usd),
    label.seconds !== null && `${format.value(label.seconds)} s`,
  ].filter(Boolean).join(" · ");
}
