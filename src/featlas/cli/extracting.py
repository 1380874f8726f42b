"""The commands that compute: extract, check and train."""

import json
import sys
from typing import Any

from featlas.cli.progress_bar import OnProgress, progress_bar
from featlas.cli.showing import print_check, print_run_header
from featlas.cli.surroundings import Surroundings, opened
from featlas.domain import JobState, RunState
from featlas.errors import ConflictError, NotFoundError
from featlas.pipeline.identity import extraction_hash
from featlas.pipeline.progress import Meter, NeverStop
from featlas.pipeline.registry import JobContext
from featlas.specs import CheckSpec, ExtractSpec, TrainSpec
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job, find_unfinished
from featlas.store.json_shapes import run_to_json
from featlas.store.runs import Run, fetch_run, find_runs
from featlas.store.snapshots import remove_orphans
from featlas.store.workers import list_workers
from featlas.worker.local import OnUpdate, follow, job_error
from featlas.worker.rounds import Team

CHECK_REFUSED = 2


def run_extract(spec: ExtractSpec, *, reuse: bool, as_json: bool) -> int:
    """Find, resume or start the extraction, follow it to its end and print the run."""
    with opened() as here:
        run, _ = extract_in(here, spec, reuse=reuse)
        if as_json:
            print(json.dumps(run_to_json(run)))
        else:
            print_run_header(run)
            print(f"next: featlas features {run.id} --limit 20")
    return 0


def extract_in(here: Surroundings, spec: ExtractSpec, *, reuse: bool) -> tuple[Run, bool]:
    """The run of a spec, and whether it was there already."""
    spec_hash = extraction_hash(spec)
    jobs.reconcile(here.store)
    remove_orphans(here.store)
    with here.store.read() as session:
        finished = [run for run in find_runs(session, spec_hash) if run.state is RunState.FINISHED]
    if reuse and finished:
        return finished[0], True
    job = _job_to_do(here, spec)
    done = run_job_here(here, job)
    with here.store.read() as session:
        return fetch_run(session, (done.result or {})["run"]), False


def _job_to_do(here: Surroundings, spec: ExtractSpec) -> Job:
    """The unfinished job of the same spec, ready to go on, or a new one."""
    known = find_unfinished(here.store, "extraction", spec.content_hash())
    if known is not None and spec.name in ("", known.spec["name"]):
        sys.stderr.write(f"going on with job {known.id}, which has the same spec and was {known.state}\n")
        return jobs.resume(here.store, known.id) if known.state in jobs.RESUMABLE else known
    _require_free_name(here, spec.name)
    return jobs.enqueue(here.store, "extraction", spec)


def _require_free_name(here: Surroundings, name: str) -> None:
    if not name:
        return
    with here.store.read() as session:
        try:
            run = fetch_run(session, name)
        except NotFoundError:
            return
    if run.name == name:
        raise ConflictError(
            f"a run named {name!r} exists already (run {run.id}); choose another --name, or --reuse returns it"
        )


def run_job_here(here: Surroundings, job: Job) -> Job:
    """Work on a queued job, or follow the one who does, with a progress bar; raises the error it ended with."""
    with progress_bar() as show:

        def on_update(row: Job) -> None:
            show(row.progress)

        done = _run_or_follow(here, job, on_update)
    error = job_error(done)
    if error is not None:
        raise error
    return fetch_job(here.store, job.id)


def _run_or_follow(here: Surroundings, job: Job, on_update: OnUpdate) -> Job:
    team = here.team()
    if team is not None:
        return _follow_team(here, team, job, on_update)
    if job.state is not JobState.RUNNING:
        try:
            return here.runner().run(job.id, on_update)
        except ConflictError:  # the same command, given twice, may have been quicker over there
            if fetch_job(here.store, job.id).state is not JobState.RUNNING:
                raise
    return follow(here.store, job.id, on_update)


def _follow_team(here: Surroundings, team: Team, job: Job, on_update: OnUpdate) -> Job:
    """Ring for a job and watch it; Ctrl-C only stops the watching."""
    if job.state is JobState.QUEUED:
        team.wake(job.id, job.queue)
    with here.store.read() as session:
        alive = [worker for worker in list_workers(session) if worker.is_alive(team.lease_s)]
    if not any(job.queue in worker.queues for worker in alive):
        sys.stderr.write(
            f"job {job.id} waits: no worker listens to the queue {job.queue!r}; `featlas worker` starts one\n"
        )
    try:
        return follow(here.store, job.id, on_update, has_workers=True)
    except KeyboardInterrupt:
        sys.stderr.write(f"\njob {job.id} goes on without you; `featlas jobs cancel {job.id}` stops it\n")
        raise


class ShownMeter(Meter):
    """A meter whose every change is drawn; for work that runs in the command's own process."""

    def __init__(self, show: OnProgress) -> None:
        super().__init__()
        self._show = show

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        """Begin a phase and draw it."""
        super().phase(name, total, unit, done=done)
        self._show(self.snapshot())

    def advance(self, n: int = 1, **figures: float) -> None:
        """Count and draw."""
        super().advance(n, **figures)
        self._show(self.snapshot())


def _own_context(here: Surroundings, show: OnProgress) -> JobContext:
    settings = here.settings
    return JobContext(
        store=here.store,
        artifacts_path=settings.artifacts_path,
        cache_path=settings.cache_path,
        device=settings.device,
        threads=settings.threads,
        job_id=None,
        guard=lambda _session: None,
        progress=ShownMeter(show),
        stop=NeverStop(),
    )


def run_self_check(spec: CheckSpec, *, as_json: bool) -> int:
    """Run the self-check in this process and print its verdict."""
    from featlas.pipeline.check import run_check

    with opened() as here, progress_bar() as show:
        found: dict[str, Any] = run_check(spec, _own_context(here, show))
    if as_json:
        print(json.dumps(found))
    else:
        print_check(found)
    return CHECK_REFUSED if found["is_refused"] else 0


def run_train(spec: TrainSpec, *, as_json: bool) -> int:
    """Train in this process and print the card."""
    from featlas.pipeline.train import run_training

    with opened() as here, progress_bar() as show:
        card = run_training(spec, _own_context(here, show))
    if as_json:
        print(json.dumps(card))
    else:
        for name, value in card.items():
            print(f"{name:<24} {value}")
    return 0
