"""Labeling jobs and what they say of the features of a small run, as a language model's answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.builders.asked_runs import make_asked_run

from featlas.domain import FailureCause, FeatureState, Label, LabelSource, LabelStatus
from featlas.specs import LabelSpec
from featlas.store.bulk import Guard, no_guard
from featlas.store.job_views import Job
from featlas.store.labelings import enqueue_labeling
from featlas.store.labels import fetch_state, list_labels
from featlas.store.machine_labels import Asked, LabelingOrigin, MachineLabel, MachineLabelWriter
from featlas.store.prompt_templates import fetch_default
from featlas.store.responses import Response
from featlas.store.session import Store


def make_response(key: str = "k", **changes: Any) -> Response:
    fields: dict[str, Any] = {
        "provider": "openai",
        "model": "m",
        "request": {"system": "Be short.", "user": f"question {key}"},
        "response": {"text": f"answer {key}", "model": "m-1"},
        "n_tokens_in": 100,
        "n_tokens_out": 10,
        "cost_micro_usd": 21,
        "wall_s": 0.5,
    }
    return Response(key, **{**fields, **changes})


class Labelings:
    """A store with a finished run of ten features, of which 1 is dead, and jobs that label them."""

    def __init__(self, store: Store, artifacts: Path, mark: str = "", **options: Any) -> None:
        self.store = store
        self.run = make_asked_run(store, artifacts, 10, mark=mark, **options)
        with store.read() as session:
            self.template = fetch_default(session)
        self._n = 0

    def spec(self, **options: Any) -> LabelSpec:
        return LabelSpec(**{"run": self.run.name, "provider": "openai", **options})

    def job(self, **options: Any) -> Job:
        """A new job; each is of another model unless one is named."""
        self._n += 1
        model = {} if options.get("provider") == "lexical" else {"model": f"model {self._n}"}
        return enqueue_labeling(self.store, self.spec(**{**model, **options}))

    def said(self, feature: int, text: str | None = "courts", **facts: Any) -> MachineLabel:
        """A language model's answer (None: an abstention) of new evidence."""
        self._n += 1
        asked = Asked(self.template.version_id, f"key {self._n}", 100, 10, 21, 0.5)
        label = MachineLabel(
            feature_index=feature,
            status=LabelStatus.LABELED if text else LabelStatus.ABSTAINED,
            source=LabelSource.LLM,
            provider="openai",
            semantic_label=text,
            category_label="Society > Law" if text else None,
            explanation="because",
            evidence_hash=f"key {self._n}",
            evidence={"top": [1]},
            model="m",
            confidence=0.5 if text else None,
            asked=asked,
        )
        return replace(label, **facts)

    def failed(self, feature: int, cause: FailureCause = FailureCause.REFUSED, **facts: Any) -> MachineLabel:
        asked = Asked(self.template.version_id, None, None, None, None, None)
        said = self.said(feature, None, status=LabelStatus.FAILED, failure_cause=cause, asked=asked)
        return replace(said, **{"explanation": "I will not.", **facts})

    def write(
        self, job: Job | None, *labels: MachineLabel, responses: tuple[Response, ...] = (), guard: Guard = no_guard
    ) -> int:
        return self.writer(job, guard).add(labels, responses)

    def writer(self, job: Job | None, guard: Guard = no_guard) -> MachineLabelWriter:
        origin = LabelingOrigin(self.run.sae_id, self.run.id, job.id if job else None)
        return MachineLabelWriter(self.store, origin, guard)

    def state(self, feature: int) -> FeatureState:
        with self.store.read() as session:
            return fetch_state(session, self.run.sae_id, feature)

    def labels(self, feature: int) -> list[Label]:
        with self.store.read() as session:
            return list_labels(session, fetch_state(session, self.run.sae_id, feature))
