"""A finished run of many features, a scripted server, and labeling jobs that ask it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.builders.made_texts import save_documents
from tests.builders.many_features import save_many_features
from tests.integration.pipeline.conftest import MakeWorkbench, planted_spec
from tests.integration.pipeline.workbench import PhaseStop, Workbench

from featlas.api.label_preview import preview_prompt
from featlas.domain import Label
from featlas.explain.provider import read_provider
from featlas.explain.render import render_prompt
from featlas.pipeline.label import run_labeling
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.specs import LabelSpec
from featlas.store.labelings import enqueue_labeling, list_job_labels
from featlas.store.prompt_evidence import PromptEvidenceReader
from featlas.store.prompt_templates import fetch_template
from featlas.store.runs import Run
from featlas.testing.chat_scripts import (
    Script,
)
from featlas.testing.planted_sae import Planted
from featlas.testing.scripted_chat import ScriptedChat, running_chat_server


@dataclass(frozen=True)
class Desk:
    """A finished run of many features, a scripted server, and jobs that ask it."""

    bench: Workbench
    run: Run
    chat: ScriptedChat

    def spec(self, **options: Any) -> LabelSpec:
        return LabelSpec(
            **{"run": str(self.run.id), "provider": "openai", "concurrency": 16, "rules": False, **options}
        )

    def label(self, job: Any = None, stop: PhaseStop | None = None, **options: Any) -> tuple[dict[str, Any], int]:
        """Run a labeling job, a new one or one of before; its result and number."""
        job = job or enqueue_labeling(self.bench.store, self.spec(**options))
        spec = LabelSpec.model_validate(job.spec)
        url = self.chat.url if spec.provider == "anthropic" else self.chat.openai_url
        keys = {"OPENAI_API_KEY": "sk-test-key", "ANTHROPIC_API_KEY": "sk-test-key"}
        context = replace(
            self.bench.context(job.id, stop, stop), open_provider=lambda name: read_provider(name, url, keys)
        )
        return run_labeling(spec, context), job.id

    def labels(self, job_id: int) -> dict[int, Label]:
        with self.bench.store.read() as session:
            return {label.feature_index: label for label in list_job_labels(session, job_id, limit=100_000)}

    def prompts(self, features: Iterable[int], template: str = "general") -> dict[int, str]:
        """The user text of many features' prompts, by feature."""
        with self.bench.store.read() as session:
            wording = fetch_template(session, template).wording
        reader = PromptEvidenceReader(self.bench.store, self.run, self.bench.artifacts_of(self.run))
        shown = reader.read(sorted(features), wording.evidence)
        return {one.feature_index: render_prompt(wording, one).user for one in shown}

    def prompt(self, feature: int, **options: Any) -> str:
        found = preview_prompt(self.bench.store, self.bench.folder / "artifacts", self.spec(**options), feature)
        return found.question.user


def make_desk(folder: Path, make_workbench: MakeWorkbench, planted: Planted, d_sae: int, texts: list[str]) -> Any:
    sae = save_many_features(folder / "sae", planted, d_sae)
    corpus = save_documents(folder / "many.jsonl", texts)
    shared = {**planted_spec(planted, corpus), "sae": str(sae), "force": True, "null_features": 0}
    bench = make_workbench(folder, **shared)
    run = bench.extract()
    add_shipped_templates(bench.store)

    @contextmanager
    def desk(script: Script, **options: Any) -> Iterator[Desk]:
        with running_chat_server(script, **options) as chat:
            yield Desk(bench, run, chat)

    return desk
