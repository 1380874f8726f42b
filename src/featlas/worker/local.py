"""Starts one fresh process per job, watches it, passes signals on and takes back what a dead one held.

Without a broker this is all there is; with one, a worker's tasks do their jobs by it.
"""

import contextlib
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from featlas import errors
from featlas.domain import JobState
from featlas.errors import ConflictError, DatabaseUnreachable, ExternalError, FeatlasError, JobCancelled, JobPaused
from featlas.specs import QUEUES
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job, find_queued, list_events
from featlas.store.jobs import Lease
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.worker.job_words import working_on
from featlas.worker.processes import FreshProcesses, JobProcess, Processes
from featlas.worker.run_job import HAND_BACK, MAX_CRASHES

logger = logging.getLogger(__name__)

FRESH = FreshProcesses((sys.executable, "-m", "featlas.entry.worker"))
POLL_S = 0.2

OnUpdate = Callable[[Job], None]

RETRY_S = 5.0
"""A process that could not start, for want of memory for example, may start a little later."""

GRACE_S = 30.0
"""A labeling that is stopped waits for its calls in flight, which are paid for: this must be longer."""


class LocalRunner:
    """Runs jobs of one store on this machine.

    `logs_path` takes each worker's output as job-ID.log; `processes` starts a worker, whose settings must name the same
    store; `grace_s` is how long a cancelled worker may take to stop; `max_crashes` deaths in a row without
    progress, or failures to start, fail a job. `niceness` above 0 lets everything else on the machine go first, people
    who browse for example.
    """

    def __init__(
        self,
        store: Store,
        logs_path: Path,
        *,
        processes: Processes = FRESH,
        grace_s: float = GRACE_S,
        max_crashes: int = MAX_CRASHES,
        niceness: int = 0,
    ) -> None:
        self._store, self._logs_path = store, logs_path
        self._processes = processes
        self._grace_s, self._max_crashes = grace_s, max_crashes
        self._niceness = niceness

    def run(self, job_id: int, on_update: OnUpdate | None = None) -> Job:
        """Work on a queued job until it is at rest (ended or paused), starting again after a crash; returns its row.

        `on_update` gets the row a few times a second. In the main thread, SIGINT and SIGTERM cancel the job: at first
        in order, after `grace_s` or at the second signal by force. The calling thread must live as long as the job: its
        end kills the worker. Raises ConflictError where the job is not queued or another worker has it.
        """
        jobs.reconcile(self._store)
        job = fetch_job(self._store, job_id)
        if job.state is not JobState.QUEUED:
            raise ConflictError(f"job {job_id} is {job.state}; only a queued job can be started")
        orders = _Orders(starts_once=True)
        with _signals_call(orders.count_signal):
            return self._run_to_rest(job, orders, on_update or _ignore)

    def serve(self, stop: threading.Event, queues: Collection[str] = QUEUES, *, poll_s: float = 1.0) -> None:
        """Run the jobs of these queues one after another, the oldest first, until `stop` is set.

        A job that runs then is handed back to the queue, for the next worker to go on with. In the main thread SIGINT
        and SIGTERM set `stop`.
        """
        with _signals_call(stop.set):
            while not stop.is_set():
                jobs.reconcile(self._store)
                job = find_queued(self._store, queues)
                if job is None:
                    stop.wait(poll_s)
                    continue
                try:
                    self._run_to_rest(job, _Orders(hand_back=stop), _ignore)
                except ConflictError:
                    continue  # another worker was quicker

    def take(self, job_id: int, hand_back: threading.Event) -> Job | None:
        """Work on a job, if it is queued, until it is at rest or handed back because `hand_back` is set.

        Returns its row, or None where there is nothing to do because another has it or it is over. A job that was
        handed back is queued again.
        """
        job = fetch_job(self._store, job_id)
        if job.state is not JobState.QUEUED:
            return None
        try:
            return self._run_to_rest(job, _Orders(hand_back=hand_back), _ignore)
        except ConflictError:
            return None

    def help(self, job_id: int, hand_back: threading.Event) -> int:
        """Let a process help with a job that runs elsewhere, until there is nothing to help with; its exit code.

        Where the job goes back to the queue because its worker died, this one takes it, if no other is quicker.
        """
        with self._started("help", job_id) as child:
            while child.poll() is None:
                if hand_back.wait(POLL_S):
                    child.send_signal(HAND_BACK)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(self._grace_s)
                    break  # what still runs then is killed
                if self._is_queued(job_id):
                    self._take_over(job_id, child, hand_back)
        return child.wait()

    def _is_queued(self, job_id: int) -> bool:
        with contextlib.suppress(DatabaseUnreachable):
            return fetch_job(self._store, job_id).state is JobState.QUEUED
        return False

    def _take_over(self, job_id: int, helping: JobProcess, hand_back: threading.Event) -> None:
        """Do a job; who helps with it works on until we have it, or goes on where somebody else has."""

        def see(row: Job) -> None:
            if row.lease_owner and Owner.parse(row.lease_owner).is_descendant_of_this_process:
                helping.send_signal(HAND_BACK)

        with contextlib.suppress(ConflictError, DatabaseUnreachable):
            self._run_to_rest(fetch_job(self._store, job_id), _Orders(hand_back=hand_back), see)
            helping.send_signal(HAND_BACK)  # where we had it for too short a time to be seen

    def _run_to_rest(self, job: Job, orders: "_Orders", on_update: OnUpdate) -> Job:
        with working_on(job):
            logger.info("job %d starts", job.id)
            while not (job.is_at_rest or orders.hand_back.is_set()):
                with self._started("run-job", job.id) as child:
                    self._watch(child, job.id, orders, on_update)
                job = self._settled(child, job, orders)
                on_update(job)
            error = {"error_class": job.error_class, "error": job.error_message} if job.error_class else {}
            logger.info("job %d is %s", job.id, job.state, extra={"fields": error})
        return job

    @contextmanager
    def _started(self, what: str, job_id: int) -> Iterator[JobProcess]:
        log_path = self._log_path(job_id)
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            log_path.open("ab").close()
        except OSError as error:
            raise ExternalError(
                f"cannot write the log {log_path}: {error.strerror}; make room or set FEATLAS_HOME"
            ) from error
        child = self._processes.start([what, str(job_id), *self._nice()], log_path)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()

    def _nice(self) -> list[str]:
        return ["--nice", str(self._niceness)] if self._niceness else []

    def _watch(self, child: JobProcess, job_id: int, orders: "_Orders", on_update: OnUpdate) -> None:
        kill_at = None
        while child.poll() is None:
            must_go = orders.hand_back.is_set()
            if (orders.n_signals or must_go) and kill_at is None:
                kill_at = time.monotonic() + self._grace_s
                self._ask_to_stop(child, job_id, must_go=must_go)
            if (kill_at is not None and time.monotonic() > kill_at) or orders.n_signals > 1:
                child.send_signal(signal.SIGKILL)
            # A database that is away for a moment is the worker's matter: it knows how long its lease lasts.
            with contextlib.suppress(DatabaseUnreachable):
                on_update(fetch_job(self._store, job_id))
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(POLL_S)

    def _ask_to_stop(self, child: JobProcess, job_id: int, *, must_go: bool) -> None:
        if must_go:
            child.send_signal(HAND_BACK)
            return
        _request_cancel(self._store, job_id)
        child.send_signal(signal.SIGTERM)

    def _settled(self, child: JobProcess, before: Job, orders: "_Orders") -> Job:
        """The job's row after its worker ended; what the worker still held is taken back."""
        job = fetch_job(self._store, before.id)
        if job.state is JobState.RUNNING:
            owner = Owner.parse(job.lease_owner or "")
            if not (owner.is_on_this_host and owner.pid == child.pid):
                raise ConflictError(f"job {job.id} is being worked on by process {owner.pid} on {owner.host}")
            lease = Lease(job.id, job.attempt, job.lease_owner or "")
            is_crash = not orders.hand_back.is_set()
            return jobs.take_back(self._store, lease, max_crashes=self._max_crashes if is_crash else None)
        if job.state is JobState.QUEUED and job.attempt == before.attempt and not orders.hand_back.is_set():
            return self._not_started(child.wait(), job, orders)
        return job

    def _not_started(self, code: int, job: Job, orders: "_Orders") -> Job:
        why = (
            f"the worker of job {job.id} ended with code {code} before it could take the job;"
            f" its output is in {self._log_path(job.id)}"
        )
        if orders.starts_once:
            raise ExternalError(why)
        logger.warning("%s", why)
        job = jobs.count_failed_start(self._store, job.id, job.attempt, why, max_failures=self._max_crashes)
        if job.state is JobState.QUEUED:
            orders.hand_back.wait(RETRY_S)
        return job

    def _log_path(self, job_id: int) -> Path:
        return self._logs_path / f"job-{job_id}.log"


def follow(store: Store, job_id: int, on_update: OnUpdate, *, poll_s: float = 0.5, has_workers: bool = False) -> Job:
    """Call `on_update` with the row of a job, whoever works on it, until it is at rest; returns its last row.

    Raises ConflictError where the worker and its runner died, so that nobody works on it any more; but not where a
    team's workers take it up again (`has_workers`).
    """
    while True:
        job = fetch_job(store, job_id)
        on_update(job)
        if job.is_at_rest:
            return job
        if job.is_silent:
            # Only by time: a runner that lives takes back what its dead worker held, and counts the crash, before this.
            jobs.reconcile(store)
        elif job.state is JobState.QUEUED and not has_workers and list_events(store, job_id)[-1].kind == "lost":
            raise ConflictError(
                f"job {job_id} lost its worker; `featlas jobs resume {job_id}` goes on from what is done"
            )
        time.sleep(poll_s)


def job_error(job: Job) -> FeatlasError | None:
    """The error that ended or paused a job, with its class, message and exit code there; None if all is well."""
    if job.state is JobState.CANCELLED:
        return JobCancelled(f"job {job.id} was cancelled; `featlas jobs resume {job.id}` goes on from what is done")
    if job.state is JobState.PAUSED:
        return JobPaused(f"job {job.id} was paused; `featlas jobs resume {job.id}` goes on from what is done")
    if job.state is not JobState.FAILED:
        return None
    kind = getattr(errors, job.error_class or "", FeatlasError)
    return kind(job.error_message or f"job {job.id} failed without a message")


@dataclass
class _Orders:
    """What the runner is told while a job runs: signals cancel it, `hand_back` gives it back to the queue.

    With `starts_once` a worker that cannot start is told to whoever waits for the job, and the job stays queued.
    """

    n_signals: int = 0
    starts_once: bool = False
    hand_back: threading.Event = field(default_factory=threading.Event)

    def count_signal(self) -> None:
        """One more."""
        self.n_signals += 1


@contextmanager
def _signals_call(act: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM do this instead of ending us; outside the main thread Python takes none, so nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: act()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _request_cancel(store: Store, job_id: int) -> None:
    try:
        jobs.request_cancel(store, job_id)
    except ConflictError:
        return  # it ended just now


def _ignore(_job: Job) -> None:
    return
