"""Disturbs a team in every way that the world does, and holds each extraction to the result of one process alone."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text
from tests.builders.made_texts import made_documents, save_documents
from tests.builders.published import read_files, read_published
from tests.e2e.command import Featlas
from tests.e2e.crowded import ask
from tests.e2e.serving import serving
from tests.e2e.teams import LEASE_S, Team

from featlas.domain import JobState
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.session import Store
from featlas.testing.planted_sae import Planted

N_WORKERS = 3
MOST_PAUSE_S = 0.5


@dataclass
class TeamChaos:
    """A team, the extraction that it does again and again, and what must come out."""

    team: Team
    spec: ExtractSpec
    expected: tuple[dict[str, bytes], dict[str, list[Any]]]
    chance: random.Random
    recoveries_s: list[float] = field(default_factory=list)

    def round(self, begin: "Beginning", disturbances: "Sequence[Disturbance]") -> str:
        """Do the extraction, disturbed; says what happened, in one line. TooLate where it was over before."""
        self.team.start_workers(N_WORKERS)
        job_id = begin(self)
        for disturb in disturbances:
            self.team.wait_for_blocks(job_id)
            time.sleep(self.chance.uniform(0, MOST_PAUSE_S))
            disturb(self, job_id)
        recovery_s = self.team.wait_for_recovery(job_id)
        self.recoveries_s.append(recovery_s)
        job = self.team.wait_for_end(job_id)
        assert job.state is JobState.SUCCEEDED, (job.error_class, job.error_message, self.team.told())
        self.team.assert_same(self.expected, job_id)
        names = ", ".join(act.__name__.replace("_", " ") for act in (begin, *disturbances))
        return f"{names}: in hands again after {recovery_s:.1f} s, job {job_id} the same, attempt {job.attempt}"


Beginning = Callable[[TeamChaos], int]
Disturbance = Callable[[TeamChaos, int], None]


def asked_for(chaos: TeamChaos) -> int:
    """As the API does."""
    return chaos.team.enqueue(chaos.spec)


def asked_of_a_server_that_is_killed(chaos: TeamChaos) -> int:
    """The process that serves the page is gone as soon as the job is in its table."""
    with serving(chaos.team.featlas) as server:
        spec = chaos.spec.model_dump(mode="json")
        job_id = ask(f"{server.url}api/v1/jobs", {"kind": "extraction", "spec": spec})["id"]
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    return job_id


def asked_for_without_a_broker(chaos: TeamChaos) -> int:
    """Its bell is lost."""
    chaos.team.redis.stop()
    job_id = chaos.team.enqueue(chaos.spec)
    chaos.team.redis.start()
    return job_id


def every_message_twice(chaos: TeamChaos) -> int:
    """And the helpers' a second time while they help."""
    job_id = chaos.team.enqueue(chaos.spec)
    chaos.team.ring(job_id)
    chaos.team.wait_for_other(job_id)
    chaos.team.ring(job_id)
    return job_id


def a_worker_killed_mid_shard(chaos: TeamChaos, job_id: int) -> None:
    """With everything under it."""
    helper, worker = chaos.team.wait_with_worker(chaos.team.wait_for_other, job_id)
    worker.kill()
    psutil.wait_procs([helper], timeout=10)
    assert not helper.is_running(), "a helper outlived its worker"


def the_jobs_worker_killed(chaos: TeamChaos, job_id: int) -> None:
    """The one whose process has the job."""
    _, worker = chaos.team.wait_with_worker(chaos.team.wait_for_blocks, job_id)
    worker.kill()


def the_jobs_process_killed(chaos: TeamChaos, job_id: int) -> None:
    """Its worker lives and starts it again."""
    chaos.team.wait_for_blocks(job_id).kill()


def redis_back_empty(chaos: TeamChaos, _job_id: int) -> None:
    """All messages are gone, those that are in somebody's hand too."""
    chaos.team.redis.stop()
    time.sleep(chaos.chance.uniform(0.1, 1.0))
    chaos.team.redis.start()


def postgresql_restarted(chaos: TeamChaos, _job_id: int) -> None:
    """Every connection breaks."""
    chaos.team.postgres.stop()
    time.sleep(chaos.chance.uniform(0.1, 1.0))
    chaos.team.postgres.start()


def cancelled_and_resumed(chaos: TeamChaos, job_id: int) -> None:
    """By a person, who waits until it is at rest."""
    with chaos.team.opened() as store:
        jobs.request_cancel(store, job_id)
        job = chaos.team.wait_for_end(job_id)
        assert job.state is JobState.CANCELLED, job
        _wait_for_quiet(chaos.team, job_id)
        jobs.resume(store, job_id)
    chaos.team.ring(job_id)


def taken_back_by_two_at_once(chaos: TeamChaos, job_id: int) -> None:
    """Its worker is killed, and others look for dead workers' jobs at the same time as the team does."""
    the_jobs_worker_killed(chaos, job_id)
    with chaos.team.opened() as one, chaos.team.opened() as other:
        for store in (one, other, one, other):
            jobs.reconcile(store)


BEGINNINGS: tuple[Beginning, ...] = (
    asked_for,
    asked_of_a_server_that_is_killed,
    asked_for_without_a_broker,
    every_message_twice,
)
DISTURBANCES: tuple[Disturbance, ...] = (
    a_worker_killed_mid_shard,
    the_jobs_worker_killed,
    the_jobs_process_killed,
    redis_back_empty,
    postgresql_restarted,
    cancelled_and_resumed,
    taken_back_by_two_at_once,
)


def _wait_for_quiet(team: Team, job_id: int) -> None:
    """Helpers notice within a heartbeat or two that the job is over."""
    held = "SELECT count(*) FROM job_shards WHERE job_id = :job AND lease_owner IS NOT NULL AND lease_until > now()"

    def is_quiet(store: Store) -> bool:
        with store.read() as session:
            return session.scalar(text(held), {"job": job_id}) == 0

    team.wait(is_quiet, "helpers do not stop", 2 * LEASE_S)


def make_team_chaos(planted: Planted, team: Team, folder: Path, n_documents: int, seed: int) -> TeamChaos:
    """The extraction of many small blocks, and its result by one process on SQLite."""
    texts = save_documents(folder / "made.jsonl", made_documents(n_documents, seed=5))
    where = {"model": str(planted.model), "sae": str(planted.sae), "text": (str(texts),)}
    spec = ExtractSpec(**where, ctx_len=32, block_slots=1024, null_features=64)
    alone = Featlas(folder / "alone")
    arguments = ["--model", planted.model, "--sae", planted.sae, "--text", texts]
    options = ["--ctx-len", 32, "--block-slots", 1024, "--null-features", 64]
    run = alone.json("extract", *arguments, *options)[-1]["run"]
    store = Store.open(f"sqlite:///{alone.home / 'featlas.db'}")
    (artifacts,) = alone.home.glob("artifacts/job-*")
    expected = read_files(artifacts), read_published(store, run)
    store.close()
    return TeamChaos(team, spec, expected, random.Random(seed))
