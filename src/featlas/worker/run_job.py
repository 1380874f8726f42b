"""One job in one fresh process: take it, keep its lease alive, run its use case, write down how it ended."""

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from featlas import errors
from featlas.errors import (
    ConflictError,
    DatabaseUnreachable,
    ExternalError,
    FeatlasError,
    InputError,
    JobCancelled,
    JobHandedBack,
    JobPaused,
)
from featlas.pipeline.progress import Meter, StopFlag
from featlas.pipeline.registry import JobContext, Kind, Sharing, find_kind, refuse_providers
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job
from featlas.store.jobs import Lease
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.worker.job_words import working_on
from featlas.worker.lifeline import end_without

HAND_BACK = signal.SIGUSR1
"""The signal with which a runner that has to go asks its worker to leave the job to another."""

MAX_CRASHES = 3
"""So many deaths in a row without progress fail a job."""

BEAT_S = 1.0
"""How often the job row is written: progress out, requests to cancel or pause in."""


@dataclass(frozen=True)
class Workplace:
    """Where and how this machine works, as plain values of the settings.

    `call_others(job_id, n)` tells up to `n` other workers that they can help; None where there are no others.
    """

    artifacts_path: Path
    cache_path: Path
    logs_path: Path
    device: str
    threads: int
    lease_s: float
    open_provider: Callable[[str], Any] = refuse_providers
    call_others: Callable[[int, int], None] | None = None

    def log_path(self, job_id: int) -> Path:
        """The file that takes the output of a job's worker, and the traceback of an unexpected error."""
        return self.logs_path / f"job-{job_id}.log"


def run_job(
    store: Store, job_id: int, place: Workplace, kinds: Mapping[str, Kind], *, parent_pid: int | None = None
) -> int:
    """Do a queued job in this process and return its exit code: 0, or that of the error that is now in its row.

    With `parent_pid` the process ends, killed, as soon as that parent is no more. Raises ConflictError or NotFoundError
    where the job is not there to be taken.
    """
    job, lease = jobs.claim(store, Owner.of_this_process(), place.lease_s, job_id=job_id)
    meter, flag = Meter(), StopFlag()
    context = _context(store, job_id, place, meter, flag, jobs.make_guard(lease))
    heart = _Heart(store, lease, place.lease_s, meter, flag, parent_pid)
    with working_on(job), _signals_stop(flag), heart.beating():
        end, exit_code = _attempt(job, kinds, context, place.log_path(job_id))
        _write_end(lambda: end(store, lease, meter.snapshot()), place.lease_s)
    return exit_code


def help_job(store: Store, job_id: int, place: Workplace, kinds: Mapping[str, Kind]) -> int:
    """Help, in this process, with a job that another worker has; returns the exit code.

    Raises ConflictError where this machine cannot help, NotFoundError for an unknown job.
    """
    job = fetch_job(store, job_id)
    flag = StopFlag()
    context = _context(store, job_id, place, Meter(), flag, _nothing_to_guard)
    kind = find_kind(kinds, job.kind)
    with working_on(job), _signals_stop(flag):
        try:
            kind.load_help()(_read_spec(job, kind), context)
        except (JobHandedBack, JobCancelled):
            return 0  # the share is free again
    return 0


def _context(
    store: Store, job_id: int, place: Workplace, meter: Meter, flag: StopFlag, guard: Callable[[Any], None]
) -> JobContext:
    sharing = None
    if place.call_others is not None:
        sharing = Sharing(Owner.of_this_process(), place.lease_s, partial(place.call_others, job_id))
    return JobContext(
        store=store,
        artifacts_path=place.artifacts_path,
        cache_path=place.cache_path,
        device=place.device,
        threads=place.threads,
        job_id=job_id,
        guard=guard,
        progress=meter,
        stop=flag,
        open_provider=place.open_provider,
        sharing=sharing,
    )


def _nothing_to_guard(_session: Any) -> None:
    """A helper writes nothing that its share's lease does not guard."""


def _write_end(write: Callable[[], None], patience_s: float) -> None:
    """Write how a job ended; a database that does not answer is asked again as long as the lease may last."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            write()
            return
        except DatabaseUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(BEAT_S)


End = Callable[[Store, Lease, dict[str, Any]], None]


def _attempt(job: Job, kinds: Mapping[str, Kind], context: JobContext, log_path: Path) -> tuple[End, int]:
    """Run the use case: how the row shall end, and the exit code. This is the worker's boundary: no error passes it."""
    try:
        result = _run_use_case(job, kinds, context)
    except JobCancelled as error:
        return jobs.cancel, error.exit_code
    except JobHandedBack as error:
        return _hand_back, error.exit_code
    except DatabaseUnreachable as error:
        return _crash, error.exit_code
    except JobPaused as error:
        return jobs.pause, error.exit_code
    except FeatlasError as error:
        name, message, code = error_class_name(error), str(error), error.exit_code
        return lambda store, lease, progress: jobs.fail(store, lease, name, message, progress), code
    except Exception as error:  # noqa: BLE001 (the boundary: whatever happened must be in the row)
        name = type(error).__name__
        message = f"unexpected {name}: {error}; the traceback is in {_save_traceback(error, log_path)}"
        return lambda store, lease, progress: jobs.fail(store, lease, name, message, progress), FeatlasError.exit_code
    return lambda store, lease, progress: jobs.succeed(store, lease, result, progress), 0


def _hand_back(store: Store, lease: Lease, _progress: dict[str, Any]) -> None:
    """Back to the queue, which is not the job's fault."""
    jobs.take_back(store, lease)


def _crash(store: Store, lease: Lease, _progress: dict[str, Any]) -> None:
    """Back to the queue: what failed was not the job, but it must not go on for ever."""
    jobs.take_back(store, lease, max_crashes=MAX_CRASHES)


def _run_use_case(job: Job, kinds: Mapping[str, Kind], context: JobContext) -> dict[str, Any]:
    kind = find_kind(kinds, job.kind)
    return kind.load()(_read_spec(job, kind), context)


def _read_spec(job: Job, kind: Kind) -> Any:
    try:
        return kind.spec_class.model_validate(job.spec)
    except ValueError as error:
        raise InputError(f"this version of Featlas cannot read the request of job {job.id}: {error}") from error


def error_class_name(error: FeatlasError) -> str:
    """The name of the nearest class in featlas.errors, from which the same kind of error can be made again."""
    return next(kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)


def _save_traceback(error: Exception, path: Path) -> str:
    """Where the traceback went."""
    text = "".join(traceback.format_exception(error))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(text)
    except OSError:
        sys.stderr.write(text)
        return f"the worker's own output ({path} cannot be written)"
    return str(path)


class _Heart:
    """The thread that keeps the lease and carries news both ways; without a lease it stops the job."""

    def __init__(
        self, store: Store, lease: Lease, lease_s: float, meter: Meter, flag: StopFlag, parent_pid: int | None
    ) -> None:
        self._store, self._lease, self._lease_s = store, lease, lease_s
        self._meter, self._flag, self._parent_pid = meter, flag, parent_pid
        self._is_over = threading.Event()
        self._last_beat = time.monotonic()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat while the block runs."""
        thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _run(self) -> None:
        try:
            while not self._is_over.wait(min(BEAT_S, self._lease_s / 3)):
                end_without(self._parent_pid)
                self._beat()
        finally:
            # Also where the beat itself broke: nobody may work on without a lease.
            if not self._is_over.is_set():
                self._flag.stop(ConflictError(f"job {self._lease.job_id} stopped because its heartbeat did"))

    def _beat(self) -> None:
        try:
            asked = jobs.heartbeat(self._store, self._lease, self._lease_s, self._meter.snapshot())
        except ConflictError as error:
            self._flag.stop(error)
        except ExternalError as error:
            if time.monotonic() - self._last_beat > self._lease_s:
                self._flag.stop(error)
        else:
            self._last_beat = time.monotonic()
            if asked.cancel:
                self._flag.cancel()
            elif asked.pause:
                self._flag.pause()


@contextmanager
def _signals_stop(flag: StopFlag) -> Iterator[None]:
    """Let SIGINT and SIGTERM cancel the job in order, and HAND_BACK hand it back, while the block runs."""
    before = {number: signal.signal(number, lambda *_: flag.cancel()) for number in (signal.SIGINT, signal.SIGTERM)}
    before[HAND_BACK] = signal.signal(HAND_BACK, lambda *_: flag.hand_back())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
