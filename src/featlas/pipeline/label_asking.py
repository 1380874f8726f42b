"""Labels from a language model: the features that no rule settles are asked about, one question each.

    choose → rules → (evidence → prompt → ask → read → keep), many at once

Each answer is in the store before its place in the queue is given away, so a kill costs the calls in flight and nothing
else; what was answered is found again by everything that was asked.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.domain import MICRO_USD, LabelSource, LabelStatus, PromptEvidence, PromptTemplate, to_usd
from featlas.explain.asking import (
    Asker,
    AskOptions,
    Item,
    Outcome,
    figures,
    question_key,
)
from featlas.explain.chat import ChatAnswer
from featlas.explain.client import open_client
from featlas.explain.lexical import label_by_rule
from featlas.explain.lint import lint_label
from featlas.explain.pacing import Ledger, Pacer
from featlas.explain.prices import Price
from featlas.explain.provider import Provider
from featlas.explain.questions import build_question, find_job_price
from featlas.explain.render import render_prompt
from featlas.pipeline.label_evidence import RunEvidence
from featlas.pipeline.label_writing import to_machine_label
from featlas.pipeline.registry import JobContext
from featlas.specs import LabelSpec
from featlas.store.label_choice import choose_features
from featlas.store.labelings import (
    count_job_labels,
    count_texts,
    fetch_pinned_template,
    pin_labeling,
    read_answered,
    read_said,
)
from featlas.store.machine_labels import Asked, LabelingOrigin, MachineLabel, MachineLabelWriter
from featlas.store.prompt_evidence import PromptEvidenceReader
from featlas.store.responses import Response, find_response, save_responses_alone

_RENDERED_AT_ONCE = 32


def ask_for_labels(spec: LabelSpec, evidence: RunEvidence, context: JobContext) -> dict[str, Any]:
    """Label by rule what rules settle and ask about the rest; raises what `run_labeling` says."""
    provider = context.open_provider(spec.provider)
    price = find_job_price(spec)
    with context.store.read() as session:
        spec = pin_labeling(session, spec)
        template = fetch_pinned_template(session, spec)
    choice = choose_features(context.store, evidence.run, spec, context.job_id)
    features = choice.features.tolist()
    before = _read_said(context)
    by_rule: set[int] = set()
    if spec.rules and not spec.dry_run:
        by_rule = _label_by_rule(evidence, choice.is_wanted, context)
        features = [feature for feature in features if feature not in by_rule]
    if spec.dry_run:
        features = features[: spec.dry_run]
    asking = Asking(spec, provider, template, price, evidence, context)
    result = asking.run(features)
    return {
        "run": evidence.run.id,
        "name": evidence.run.name,
        "provider": spec.provider,
        "model": spec.asked_model,
        "template": template.name,
        "template_version": template.version,
        "n_features": len(before.union(features, by_rule)),
        "n_by_rule": len(by_rule),
        **result,
        "n_skipped": choice.skipped,
    }


def _read_said(context: JobContext) -> frozenset[int]:
    """The features of which earlier attempts of this job have said something."""
    if context.job_id is None:
        return frozenset()
    with context.store.read() as session:
        return read_said(session, context.job_id)


def _label_by_rule(evidence: RunEvidence, is_wanted: NDArray[np.bool_], context: JobContext) -> set[int]:
    """Write the labels that follow from counts; the features that have one."""
    origin = LabelingOrigin(evidence.run.sae_id, evidence.run.id, context.job_id)
    writer = MachineLabelWriter(context.store, origin, context.guard)
    context.progress.phase("labeling by rule", int(is_wanted.sum()), "features")
    found: set[int] = set()
    for features in evidence.read_ranges(is_wanted):
        context.stop.check()
        ruled = [label for feature in features if (label := label_by_rule(feature, evidence.corpus)) is not None]
        labels = [to_machine_label(label, Counter()) for label in ruled]
        writer.add(labels)
        found.update(label.feature_index for label in labels)
        context.progress.advance(len(features))
    return found


@dataclass
class Asking:
    """One labeling job that asks: questions out, answers in; keeps each before the next takes its place."""

    spec: LabelSpec
    provider: Provider
    template: PromptTemplate
    price: Price | None
    evidence: RunEvidence
    context: JobContext
    n_same: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    dry: list[dict[str, Any]] = field(default_factory=list)

    def run(self, features: Sequence[int]) -> dict[str, Any]:
        """Ask about these features; the counts of it, as the job's result keeps them."""
        spec, context = self.spec, self.context
        budget = None if spec.budget is None else round(spec.budget * MICRO_USD)
        ledger = Ledger(self.price, budget, spec.budget_tokens)
        n_before = self._resume(ledger)
        context.progress.phase("asking", n_before + len(features), "features", done=n_before)
        client = open_client(self.provider, timeout_s=spec.timeout_s)

        async def ask_all() -> dict[str, Any]:
            try:
                asker = Asker(
                    client,
                    self,
                    AskOptions(spec.concurrency, spec.max_retries),
                    Pacer(spec.requests_per_minute, spec.tokens_per_minute),
                    ledger,
                    stop=context.stop.check,
                    on_done=lambda outcome: self._tell(outcome, ledger),
                )
                return dict(figures(await asker.run(self._chunks(features)), ledger))
            finally:
                await client.close()

        asked = asyncio.run(ask_all())
        self._flag_repeated()
        n_left = len(features) - self.counts["done"]
        return {**asked, **self._summary(), "n_unchanged": self.counts["unchanged"], "n_left": n_left}

    def _resume(self, ledger: Ledger) -> int:
        """Take up what earlier attempts of this job answered; how many features that is."""
        if self.context.job_id is None or self.spec.dry_run:
            return 0
        with self.context.store.read() as session:
            before = read_answered(session, self.context.job_id)
            self.n_same.update(count_texts(session, self.context.job_id))
        ledger.resume(before.n_requests, before.n_tokens_in, before.n_tokens_out)
        return len(before.features)

    def _chunks(self, features: Sequence[int]) -> Iterator[list[Item]]:
        run = self.evidence.run
        reader = PromptEvidenceReader(self.context.store, run, self.evidence.plan.folder)
        for at in range(0, len(features), _RENDERED_AT_ONCE):
            chunk = features[at : at + _RENDERED_AT_ONCE]
            found = list(reader.read(chunk, self.template.wording.evidence))
            self._abstain([shown for shown in found if shown.n_fires == 0])
            yield [self._item(shown) for shown in found if shown.n_fires > 0]

    def _abstain(self, silent: Sequence[PromptEvidence]) -> None:
        """Features that never fire on the label split have nothing to show: nobody is asked, and they say so."""
        self.counts["done"] += len(silent)
        self.counts["abstained"] += len(silent)
        self.context.progress.advance(len(silent))
        if not silent or self.spec.dry_run:
            return
        labels = [
            MachineLabel(
                feature_index=shown.feature_index,
                status=LabelStatus.ABSTAINED,
                source=LabelSource.LLM,
                provider=self.provider.name,
                semantic_label=None,
                category_label=None,
                explanation="It never fires on the label split, so there was nothing to show, and nobody was asked.",
                evidence_hash=f"silent in {self.evidence.run.uid}",
                evidence={"n_fires": 0},
                model=self.spec.asked_model,
                asked=Asked(self.template.version_id, None, 0, 0, 0 if self.price else None, 0.0),
            )
            for shown in silent
        ]
        run = self.evidence.run
        origin = LabelingOrigin(run.sae_id, run.id, self.context.job_id)
        n_added = MachineLabelWriter(self.context.store, origin, self.context.guard).add(labels)
        self.counts["unchanged"] += len(labels) - n_added

    def _item(self, evidence: PromptEvidence) -> Item:
        prompt = render_prompt(self.template.wording, evidence)
        question = build_question(self.spec, prompt)
        return Item(
            evidence.feature_index, question, question_key(self.provider.name, self.provider.base_url, question), prompt
        )

    def find(self, key: str) -> str | None:
        """The completion that the very same question got before."""
        with self.context.store.read() as session:
            found = find_response(session, key)
        return None if found is None else found.response["text"]

    def save(self, outcomes: Sequence[Outcome]) -> None:
        """Keep answers and the labels read from them in one transaction; a dry run keeps the answers only."""
        responses = [self._response(one) for one in outcomes if one.cause is None and one.answer is not None]
        labels = []
        for outcome in outcomes:
            if outcome.read is not None and outcome.read.semantic_label:
                self.n_same[outcome.read.semantic_label] += 1
            labels.append(self._label(outcome))
        if self.spec.dry_run:
            save_responses_alone(self.context.store, responses)
            self.dry += [_shown(label, outcome) for label, outcome in zip(labels, outcomes, strict=True)]
            return
        run = self.evidence.run
        origin = LabelingOrigin(run.sae_id, run.id, self.context.job_id)
        n_added = MachineLabelWriter(self.context.store, origin, self.context.guard).add(labels, responses)
        self.counts["unchanged"] += len(labels) - n_added

    def _label(self, outcome: Outcome) -> MachineLabel:
        item, read, answer = outcome.item, outcome.read, outcome.answer
        text = read.semantic_label if read is not None else None
        status = LabelStatus.FAILED if outcome.cause else LabelStatus.LABELED if text else LabelStatus.ABSTAINED
        lint: tuple[str, ...] = ()
        if text is not None:
            lint = lint_label(text, prompt=item.question.user, n_same=self.n_same[text], n_labels=self.n_same.total())
        return MachineLabel(
            feature_index=item.feature_index,
            status=status,
            source=LabelSource.LLM,
            provider=self.provider.name,
            semantic_label=text,
            category_label=read.category_label if read is not None and text else None,
            explanation=outcome.message if read is None else read.explanation,
            evidence_hash=item.key,
            evidence=dict(item.note.shown),
            lint=lint,
            model=self.spec.asked_model,
            confidence=read.confidence if read is not None else None,
            failure_cause=outcome.cause,
            asked=self._asked(outcome, answer),
        )

    def _asked(self, outcome: Outcome, answer: ChatAnswer | None) -> Asked:
        key = outcome.item.key if outcome.cause is None else None
        if outcome.is_known:
            return Asked(self.template.version_id, key, 0, 0, 0 if self.price else None, 0.0)
        if answer is None:
            return Asked(self.template.version_id, key, None, None, None, None)
        return Asked(
            self.template.version_id, key, answer.n_tokens_in, answer.n_tokens_out, self._cost(answer), answer.wall_s
        )

    def _cost(self, answer: ChatAnswer) -> int | None:
        if self.price is None or answer.n_tokens_in is None or answer.n_tokens_out is None:
            return None
        return self.price.micro_usd(answer.n_tokens_in, answer.n_tokens_out)

    def _response(self, outcome: Outcome) -> Response:
        question, answer = outcome.item.question, outcome.answer
        assert answer is not None
        request = {
            "system": question.system,
            "user": question.user,
            "max_output_tokens": question.max_output_tokens,
            "temperature": question.temperature,
            "has_schema": question.schema is not None,
        }
        return Response(
            key=outcome.item.key,
            provider=self.provider.name,
            model=question.model,
            request=request,
            response={"text": answer.text, "model": answer.model},
            n_tokens_in=answer.n_tokens_in,
            n_tokens_out=answer.n_tokens_out,
            cost_micro_usd=self._cost(answer),
            wall_s=answer.wall_s,
        )

    def _tell(self, outcome: Outcome, ledger: Ledger) -> None:
        self.counts["done"] += 1
        is_labeled = outcome.read is not None and outcome.read.semantic_label is not None
        self.counts["failed" if outcome.cause else "labeled" if is_labeled else "abstained"] += 1
        spent = to_usd(ledger.micro_usd)
        money = {} if spent is None else {"usd": spent}
        tokens = float(ledger.n_tokens_in + ledger.n_tokens_out)
        kinds = {name: float(self.counts[name]) for name in ("labeled", "abstained", "failed")}
        self.context.progress.advance(1, **kinds, tokens=tokens, **money)

    def _flag_repeated(self) -> None:
        """Labels that only turned out to be everywhere after they were written."""
        total = self.n_same.total()
        repeated = [text for text, n in self.n_same.items() if "repeated" in lint_label(text, n_same=n, n_labels=total)]
        if repeated and not self.spec.dry_run:
            run = self.evidence.run
            origin = LabelingOrigin(run.sae_id, run.id, self.context.job_id)
            MachineLabelWriter(self.context.store, origin, self.context.guard).flag_repeated(repeated, "repeated")

    def _summary(self) -> dict[str, Any]:
        """All that the job gave, its earlier attempts included; a dry run shows its answers instead of keeping them."""
        if self.spec.dry_run or self.context.job_id is None:
            kinds = {f"n_{name}": self.counts[name] for name in ("labeled", "abstained")}
            return {**kinds, "n_linted": None, "answers": self.dry}
        with self.context.store.read() as session:
            counts = count_job_labels(session, self.context.job_id)
        kinds = ("n_labeled", "n_abstained", "n_linted", "n_failed", "n_by_cause")
        return {name: getattr(counts, name) for name in kinds}


def _shown(label: MachineLabel, outcome: Outcome) -> dict[str, Any]:
    """One answer of a dry run."""
    return {
        "feature_index": label.feature_index,
        "status": str(label.status),
        "semantic_label": label.semantic_label,
        "category_label": label.category_label,
        "explanation": label.explanation,
        "confidence": label.confidence,
        "lint": list(label.lint),
        "failure_cause": label.failure_cause and str(label.failure_cause),
        "n_tokens_in": label.asked and label.asked.n_tokens_in,
        "n_tokens_out": label.asked and label.asked.n_tokens_out,
        "is_from_cache": outcome.is_known,
    }
