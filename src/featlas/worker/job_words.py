"""Which job the code that runs now works for, so that whatever it logs can say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from featlas.store.job_views import Job

_job: ContextVar[dict[str, Any]] = ContextVar("job", default={})  # noqa: B039 (never changed, only replaced)


@contextmanager
def working_on(job: Job) -> Iterator[None]:
    """Until the block ends, what is logged in this context belongs to that job."""
    token = _job.set({"job": job.id, "kind": job.kind, "attempt": job.attempt, "queue": job.queue})
    try:
        yield
    finally:
        _job.reset(token)


def job_words() -> dict[str, Any]:
    """The job's number, kind, attempt and queue; empty where none is worked on."""
    return _job.get()
