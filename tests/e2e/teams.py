"""A team as it is set up: PostgreSQL, Redis, a shared folder and workers in processes of their own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text
from tests.builders.published import assert_same_files, assert_same_published, read_files, read_published
from tests.e2e.command import Featlas
from tests.redis_server import RedisServer, running_redis
from tests.servers import PrivatePostgres, private_postgres

from featlas.domain import JobState
from featlas.errors import ExternalError
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job, list_events, list_jobs
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.tables import JobShardRow
from featlas.store.upgrade import upgrade
from featlas.store.workers import list_workers
from featlas.worker.celery_app import CeleryDoorbell
from featlas.worker.rounds import Team as Bells

LEASE_S = 4.0
PATIENCE_S = 180.0
WORKER = (sys.executable, "-m", "featlas.cli.main", "worker")


@dataclass
class Team:
    """Servers, a home that all share, and workers that may be killed and started again.

    Where there is a `place`, each worker has a home of its own, and they pass files by way of it.
    """

    postgres: PrivatePostgres
    redis: RedisServer
    featlas: Featlas
    folder: Path
    place: Path | None = None
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def store_url(self) -> str:
        return self.featlas.env["FEATLAS_DATABASE_URL"]

    def start_workers(self, n: int, *arguments: str) -> None:
        """Bring the number of living workers to `n`, and wait until all are listed."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        for _ in range(n - len(self.workers)):
            with (self.folder / "workers.log").open("ab") as log:
                self.workers.append(
                    subprocess.Popen(
                        [*WORKER, *arguments], env=self._environment(), stdout=log, stderr=log, cwd=self.folder
                    )
                )
        pids = {worker.pid for worker in self.workers}
        self.wait(lambda store: pids <= {worker.pid for worker in _listed(store)}, "the workers did not start")

    def _environment(self) -> dict[str, str]:
        own = {} if self.place is None else {"FEATLAS_HOME": tempfile.mkdtemp(prefix="machine-", dir=self.folder)}
        return {**self.featlas.environment(), **own}

    @property
    def artifacts(self) -> Path:
        """Where all files of runs are to be found."""
        return self.place or self.featlas.home / "artifacts"

    def enqueue(self, spec: ExtractSpec) -> int:
        """Queue a job and ring for it, as the API does."""
        with self.opened() as store:
            job = jobs.enqueue(store, "extraction", spec)
            Bells(store, CeleryDoorbell(self.redis.url), LEASE_S).wake(job.id, job.queue)
            return job.id

    def ring(self, job_id: int) -> None:
        """Deliver a job's bells once more."""
        bell = CeleryDoorbell(self.redis.url)
        assert bell.ring(job_id, "extraction")
        bell.call_others(job_id, 3)

    @contextmanager
    def opened(self) -> Iterator[Store]:
        store = Store.open(self.store_url)
        try:
            yield store
        finally:
            store.close()

    def wait(self, is_so: Callable[[Store], Any], complaint: str, patience_s: float = PATIENCE_S) -> Any:
        """What `is_so` gives once it gives something; a database that is away is asked again."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            try:
                with self.opened() as store:
                    while time.monotonic() < end:
                        if found := is_so(store):
                            return found
                        time.sleep(0.02)
            except ExternalError:
                time.sleep(0.1)
        raise AssertionError(f"{complaint}: {self.told()}")

    def wait_for_end(self, job_id: int) -> Job:
        """The job once it is at rest; never stuck."""
        return self.wait(
            lambda store: job if (job := fetch_job(store, job_id)).is_at_rest else None, f"job {job_id} does not end"
        )

    def wait_for_recovery(self, job_id: int) -> float:
        """Seconds until living processes have the job and whatever was begun of it, or it is at rest.

        At least one: so long, what was killed may still look alive.
        """
        started = time.monotonic()
        time.sleep(1)

        def is_recovered(store: Store) -> bool:
            job = fetch_job(store, job_id)
            with store.read() as session:
                rows = session.query(JobShardRow).filter_by(job_id=job_id, finished_at=None).all()
                owners = {job.lease_owner, *(row.lease_owner for row in rows if row.lease_owner)}
            return job.is_at_rest or all(owner and psutil.pid_exists(Owner.parse(owner).pid) for owner in owners)

        self.wait(is_recovered, f"nobody takes up job {job_id}")
        return time.monotonic() - started

    def wait_for_other(self, job_id: int) -> psutil.Process:
        """A process that makes a share of the job which another worker has; TooLate where the job ends before."""

        def other(store: Store) -> psutil.Process | None:
            job = _unfinished(store, job_id)
            with store.read() as session:
                rows = session.query(JobShardRow).filter_by(job_id=job_id).all()
            held = {row.lease_owner for row in rows if row.lease_owner and row.lease_owner != job.lease_owner}
            return next((process for owner in held if (process := _holder_of(owner))), None)

        return self.wait(other, "nobody helps")

    def wait_for_blocks(self, job_id: int) -> psutil.Process:
        """The process that has the job, once there are blocks of it; TooLate where the job ends before."""

        def found(store: Store) -> psutil.Process | None:
            owner = _unfinished(store, job_id).lease_owner
            has_blocks = any(self.artifacts.glob(f"job-{job_id:06d}-*/blocks/*.safetensors"))
            return _holder_of(owner) if owner and has_blocks else None

        return self.wait(found, "nobody has the job")

    def wait_with_worker(
        self, find: Callable[[int], psutil.Process], job_id: int
    ) -> tuple[psutil.Process, psutil.Process]:
        """A process that is found and the worker that started it; where that was killed, the process goes, too."""
        pids = {worker.pid for worker in self.workers}

        def found(_store: Store) -> tuple[psutil.Process, psutil.Process] | None:
            process = find(job_id)
            try:
                return next(((process, one) for one in process.parents() if one.pid in pids), None)
            except psutil.NoSuchProcess:
                return None

        return self.wait(found, "no worker has it")

    def result(self, job_id: int) -> tuple[dict[str, bytes], dict[str, list[Any]]]:
        """The files and the published rows of a job's run."""
        with self.opened() as store:
            job = fetch_job(store, job_id)
            assert job.state is JobState.SUCCEEDED, (job.error_class, job.error_message, self.told())
            assert job.result is not None
            (folder,) = self.artifacts.glob(f"job-{job_id:06d}-*")
            return read_files(folder), read_published(store, job.result["run"])

    def assert_same(self, expected: tuple[dict[str, bytes], dict[str, list[Any]]], job_id: int) -> None:
        files, published = self.result(job_id)
        assert_same_files(expected[0], files)
        assert_same_published(expected[1], published)

    def assert_nothing_left_behind(self) -> None:
        """No snapshot, run or share hangs in the air; every job ended once."""
        with self.opened() as store, store.read() as session:
            n_runs, n_snapshots, n_open = (
                session.scalar(text(sql))
                for sql in (
                    "SELECT count(*) FROM runs WHERE state = 'finished'",
                    "SELECT count(*) FROM snapshots",
                    "SELECT count(*) FROM job_shards WHERE finished_at IS NULL",
                )
            )
            ended = session.execute(
                text(
                    "SELECT job_id, count(*) FROM job_events JOIN jobs ON jobs.id = job_id"
                    " WHERE job_events.kind = 'succeeded' AND jobs.kind = 'extraction' GROUP BY job_id"
                )
            ).all()
        assert n_runs == n_snapshots == len(ended)
        assert {1} == {n for _, n in ended}, ended
        assert n_open == 0

    def told(self) -> str:
        """What the workers said last, and the jobs' stories: for whoever reads a failure."""
        logs = [self.folder / "workers.log", *sorted((self.featlas.home / "logs").glob("job-*.log"))]
        said = "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs if log.exists())
        try:
            with self.opened() as store:
                events = [
                    (event.job_id, event.seq, event.kind, event.payload)
                    for job in list_jobs(store)
                    for event in list_events(store, job.id)
                ]
        except ExternalError as error:
            events = [str(error)]
        return f"{said}\n{events}"

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                worker.wait(40)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


class TooLate(Exception):
    """The job was over before it could be disturbed."""


def _holder_of(owner: str) -> psutil.Process | None:
    """The process that holds a lease; None where it ended since."""
    try:
        return psutil.Process(Owner.parse(owner).pid)
    except psutil.NoSuchProcess:
        return None


def _unfinished(store: Store, job_id: int) -> Job:
    job = fetch_job(store, job_id)
    if job.is_at_rest:
        raise TooLate
    return job


def _listed(store: Store) -> list[Any]:
    with store.read() as session:
        return list_workers(session)


@contextmanager
def running_team(folder: Path, n_workers: int, *, place: Path | None = None) -> Iterator[Team]:
    """A team of so many workers, with a folder that all share but for a `place`; everything stops at the end."""
    with ExitStack() as cleanup:
        postgres = cleanup.enter_context(private_postgres())
        server = cleanup.enter_context(running_redis())
        upgrade(postgres.url)
        settings = {
            "FEATLAS_DATABASE_URL": postgres.url,
            "FEATLAS_BROKER_URL": server.url,
            "FEATLAS_LEASE_S": str(LEASE_S),
            "OMP_NUM_THREADS": "1",
        }
        if place is not None:
            settings["FEATLAS_ARTIFACTS_URL"] = place.as_uri()
        team = Team(postgres, server, Featlas(folder / "home", settings), folder, place)
        os.makedirs(team.featlas.home, exist_ok=True)
        cleanup.callback(team.stop)
        team.start_workers(n_workers)
        yield team
