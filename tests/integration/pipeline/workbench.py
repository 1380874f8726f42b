"""Extractions in the test's own process: the real use case on a real store, without a command line around it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featlas.engine.language_model import LanguageModel
from featlas.errors import JobPaused
from featlas.pipeline.extract import run_extraction, settle_target
from featlas.pipeline.identity import extraction_hash
from featlas.pipeline.opening import fit_together, open_model, open_sae
from featlas.pipeline.plan import Plan, load_plan
from featlas.pipeline.progress import NeverStop, NoProgress, Progress, Stop
from featlas.pipeline.registry import JobContext
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.artifacts import artifact_name
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store


class PhaseStop:
    """Progress and stop in one: pauses the job at the first check after `n` steps of a phase."""

    def __init__(self, phase: str, n: int = 0) -> None:
        self._phase, self._n, self._is_there, self._done = phase, n, False, 0

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        self._is_there, self._done = name == self._phase, done

    def advance(self, n: int = 1, **figures: float) -> None:
        self._done += n

    def check(self) -> None:
        if self._is_there and self._done >= self._n:
            raise JobPaused("paused by the test")


@dataclass(frozen=True)
class Workbench:
    """A store and folders for runs; every extraction is of a job of its own unless one is given."""

    folder: Path
    store: Store
    shared: dict[str, Any] = field(default_factory=dict)

    def spec(self, **changes: Any) -> ExtractSpec:
        return ExtractSpec(**{**self.shared, **changes})

    def enqueue(self, spec: ExtractSpec) -> int:
        return jobs.enqueue(self.store, "extraction", spec).id

    def context(self, job_id: int, progress: Progress | None = None, stop: Stop | None = None) -> JobContext:
        return JobContext(
            store=self.store,
            artifacts_path=self.folder / "artifacts",
            cache_path=self.folder / "cache",
            device="cpu",
            threads=1,
            job_id=job_id,
            guard=lambda _session: None,
            progress=progress or NoProgress(),
            stop=stop or NeverStop(),
        )

    def extract(self, job_id: int | None = None, **changes: Any) -> Run:
        """Run an extraction to its end."""
        spec = self.spec(**changes)
        result = run_extraction(spec, self.context(job_id or self.enqueue(spec)))
        with self.store.read() as session:
            return fetch_run(session, result["run"])

    def pause(self, phase: str, n: int = 0, job_id: int | None = None, **changes: Any) -> tuple[int, Path]:
        """Begin an extraction and pause it in a phase; the job's id and the run's artifact folder."""
        spec = self.spec(**changes)
        job_id = job_id or self.enqueue(spec)
        stopping = PhaseStop(phase, n)
        try:
            run_extraction(spec, self.context(job_id, stopping, stopping))
        except JobPaused:
            return job_id, self.artifacts(spec, job_id)
        raise AssertionError(f"the extraction ended before {phase}")

    def artifacts(self, spec: ExtractSpec, job_id: int) -> Path:
        return self.folder / "artifacts" / artifact_name(extraction_hash(spec), job_id)

    def artifacts_of(self, run: Run) -> Path:
        return self.folder / "artifacts" / artifact_name(run.spec_hash, run.job_id)

    def plan_of(self, run: Run) -> Plan:
        return load_plan(self.artifacts_of(run))


def open_for_pass(spec: ExtractSpec, folder: Path):
    """Plan, model and target of a begun run: what another process needs to make blocks of it."""
    plan = load_plan(folder)
    model: LanguageModel = open_model(spec, folder, "cpu", 1)
    target, _ = settle_target(spec, plan, model, fit_together(spec, open_sae(spec), model), NoProgress())
    return plan, model, target
