import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import type { Feature, Interval } from "../../api/types";
import * as format from "../../lib/format";
import { Num } from "../../parts/small";

function Card({ title, value, tip, children }: { title: string; value: string; tip: string; children?: ReactNode }) {
  return (
    <div className="card px-3 py-2.5">
      <dt className="eyebrow">{title}</dt>
      <dd className="m-0">
        <Num tip={tip} className="text-lg font-semibold tracking-tight">{value}</Num>
        <div className="num text-xs leading-relaxed text-muted">{children}</div>
      </dd>
    </div>
  );
}

/** What the label in force says it is about, last step first; each step is a filter of the list. */
function CategoryCard({ feature: f }: { feature: Feature }) {
  const current = f.labels.current;
  const path = (current?.category_label ?? "").split(">").map((step) => step.trim()).filter(Boolean);
  const above = path.slice(0, -1).join(" › ");
  return (
    <div className="card px-3 py-2.5 max-sm:col-span-2">
      <dt className="eyebrow">Category</dt>
      <dd className="m-0">
        {path.length > 0 ? (
          <Link
            to="/s/$sae/features" params={{ sae: f.sae.uid }} search={{ run: String(f.run.id), q: `category:"${path.join(" > ")}"` }}
            className="block truncate text-lg font-semibold tracking-tight" title={`All features in ${path.join(" > ")}`}
          >
            {path.at(-1)}
          </Link>
        ) : (
          <span className="text-lg font-semibold tracking-tight text-muted">none</span>
        )}
        <div className="text-xs leading-relaxed text-muted">
          {above && <>{above}<br /></>}
          {current ? `from a label by ${current.source === "human" ? "a person" : (current.provider ?? current.source)}` : "no label is in force"}
        </div>
      </dd>
    </div>
  );
}

const between = (interval: Interval | null | undefined, show: (x: number) => string): string =>
  interval ? `${show(interval.low)} – ${show(interval.high)}` : "no interval: too few firings";

const JACKKNIFE =
  "95 % interval: delete-a-group jackknife over 16 groups of documents, for tokens of a document are not independent; for frequencies in fewer than ten firing documents exact, on documents.";

/** The figures of a feature and its category, each number with its denominator beside it and its formula one hover away. */
export function StatCards({ feature: f }: { feature: Feature }) {
  const source = `Source: run ${f.run.name}, snapshot ${f.snapshot}.`;
  const tokens = `${format.whole(f.n_fires)} of ${format.whole(f.n_tokens)} counted positions`;
  return (
    <section aria-label="Figures">
      <dl className="grid grid-cols-2 gap-2.5 sm:grid-cols-3 xl:grid-cols-5">
        <Card title="Frequency" value={format.frequency(f.activation_frequency)} tip={`n_fires / n_tokens = ${tokens} = ${f.activation_frequency}.\nCounted: not padding, not the BOS that was added, not attention sinks.\n${JACKKNIFE}\n${source}`}>
          {between(f.intervals["activation_frequency"], format.frequency)}<br />{format.whole(f.n_fires)} of {format.brief(f.n_tokens)} tokens
        </Card>
        <Card title="Max" value={format.value(f.max_activation)} tip={`Largest of ${format.whole(f.n_fires)} activations = ${f.max_activation}, in the SAE's own units.\nColours of texts are shares of it.\n${source}`}>
          over {format.whole(f.n_fires)} firings
        </Card>
        <Card title="Mean" value={format.value(f.mean_activation)} tip={`Σ activation / n_fires over ${format.whole(f.n_fires)} firings = ${f.mean_activation}; zeros are not in it.\nStandard deviation (ddof 1): ${f.std_activation}.\n${JACKKNIFE}\n${source}`}>
          {between(f.intervals["mean_activation"], format.value)}<br />σ {format.value(f.std_activation)}
        </Card>
        <Card title="Documents" value={format.percent(f.n_documents ? f.n_documents_fired / f.n_documents : null)} tip={`n_documents_fired / n_documents = ${format.whole(f.n_documents_fired)} of ${format.whole(f.n_documents)}; contexts: ${format.whole(f.n_contexts_fired)} of ${format.whole(f.n_contexts)} = ${f.context_frequency}.\n95 % interval: exact binomial (Clopper–Pearson).\n${source}`}>
          {between(f.intervals["document_frequency"], format.percent)}<br />{format.whole(f.n_contexts_fired)} of {format.whole(f.n_contexts)} contexts
        </Card>
        <CategoryCard feature={f} />
      </dl>
      {f.n_fires_excluded > 0 && (
        <p className="num mt-2 text-xs text-muted">
          Not counted: it also fires on {format.whole(f.n_fires_excluded)} excluded positions (BOS, attention sinks), up to {format.value(f.max_excluded)}.
        </p>
      )}
    </section>
  );
}

/** A feature that never fired: what its silence says, with the number. */
export function Silence({ feature: f }: { feature: Feature }) {
  return (
    <section aria-label="Figures" className="card px-4 py-3.5">
      <h2 className="text-base">It never fires in this run</h2>
      <p className="num mt-1 text-sm">
        0 of <Num tip={`Counted positions of run ${f.run.name}, in ${format.whole(f.n_contexts)} contexts of ${format.whole(f.n_documents)} documents.`}>{format.whole(f.n_tokens)} tokens</Num>
        {f.frequency_at_most !== null && <>; at most <Num tip={`What ${format.whole(f.n_tokens)} silent positions exclude at 95 %, as the run computed it: its frequency lies below ${f.frequency_at_most}.`}>{format.frequency(f.frequency_at_most)}</Num> at 95 %</>}.
      </p>
      <p className="mt-1.5 text-sm text-muted">
        {f.n_fires_excluded > 0
          ? `It fires on ${format.whole(f.n_fires_excluded)} excluded positions (BOS, attention sinks), up to ${format.value(f.max_excluded)}: an artefact of those more than a meaning.`
          : "More text, or text of another kind, may wake it; there is nothing here that could tell what it means."}
      </p>
    </section>
  );
}
