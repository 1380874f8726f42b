"""Tells browsers what happens to jobs as it happens: one poller per process for any number of watchers.

The only asynchronous room of the API: a watcher costs a queue, not a thread, and the database is asked once per beat
whoever watches. `Last-Event-ID` is the number of the last event of a job that the browser has seen.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from featlas.api import schemas, shapes
from featlas.domain import JobState
from featlas.errors import FeatlasError
from featlas.store.job_views import Job, fetch_job, list_events, list_jobs, list_jobs_by_id
from featlas.store.session import Store

BEAT_S = 0.5
AGAIN_MS = 2000
"""What a stream that ends tells the browser: come back after so long; by then a server that was restarted answers."""
_QUEUE = 256
_GOING_ON = (JobState.QUEUED, JobState.RUNNING)
_NEWEST = 50


@dataclass(eq=False)
class _Watcher:
    """Somebody who wants to know: of one job with its events, or of all jobs (job_id None)."""

    job_id: int | None
    seen: int = 0
    told: dict[int, str] = field(default_factory=dict)  # the last it heard of each job
    queue: asyncio.Queue[ServerSentEvent | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE))

    def is_news(self, job_id: int, content: str) -> bool:
        """Whether it has not heard this of that job yet; from now on it has."""
        is_news = self.told.get(job_id) != content
        self.told[job_id] = content
        return is_news

    def tell(self, message: ServerSentEvent) -> None:
        """Put a message into the queue; one who does not keep up is let go, and comes back by itself."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.let_go()

    def let_go(self) -> None:
        """End its stream, whatever it has not read yet."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


@dataclass(frozen=True)
class _Seen:
    """What one beat found: the jobs that anybody may ask for, and the new events of those that are watched."""

    jobs: list[Job]
    events: dict[int, list[schemas.JobEvent]]


class JobWatch:
    """Fans changes of jobs out to their watchers; polls only while somebody watches."""

    def __init__(self, store: Store, *, beat_s: float = BEAT_S) -> None:
        self._store, self._beat_s = store, beat_s
        self._watchers: set[_Watcher] = set()
        self._last_seq: dict[int, int] = {}
        self._poller: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    @property
    def n_watchers(self) -> int:
        """How many streams are open."""
        return len(self._watchers)

    async def watch_all(self) -> AsyncIterator[ServerSentEvent]:
        """Every job that changes from now on, after those that are going on."""
        watcher = _Watcher(None)
        with self._watching(watcher):
            known = await run_in_threadpool(self._look, set())
            for job in known.jobs:
                message = _job_message(job)
                if watcher.is_news(job.id, str(message.data)) and job.state in _GOING_ON:
                    yield message
            async for message in _read_queue(watcher):
                yield message

    async def watch(self, job_id: int, after_seq: int) -> AsyncIterator[ServerSentEvent]:
        """One job, now and at every change, and its events after `after_seq`, oldest first."""
        watcher = _Watcher(job_id, seen=after_seq)
        with self._watching(watcher):
            # Before the first beat tells of anything later, all that happened until now.
            message = _job_message(await run_in_threadpool(fetch_job, self._store, job_id))
            watcher.told[job_id] = str(message.data)
            yield message
            while past := await run_in_threadpool(list_events, self._store, job_id, after_seq=watcher.seen):
                for event in past:
                    watcher.seen = event.seq
                    yield _event_message(shapes.job_event(event))
            self._last_seq[job_id] = min(self._last_seq.get(job_id, watcher.seen), watcher.seen)
            async for message in _read_queue(watcher):
                if message.event == "event" and int(message.id or 0) <= watcher.seen:
                    continue
                if message.event == "event":
                    watcher.seen = int(message.id or 0)
                yield message

    def let_all_go(self) -> None:
        """End every stream now, and those that begin later at once."""
        self._is_over.set()
        for watcher in list(self._watchers):
            watcher.let_go()

    async def close(self) -> None:
        """Let all watchers go, and wait until nothing is asked of the database any more."""
        self.let_all_go()
        if self._poller is not None:
            await self._poller  # its look at the database ends before the database is closed

    @contextlib.contextmanager
    def _watching(self, watcher: _Watcher):
        self._watchers.add(watcher)
        if self._is_over.is_set():
            watcher.let_go()
        elif self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    async def _poll(self) -> None:
        while self._watchers and not self._is_over.is_set():
            watched = {watcher.job_id for watcher in self._watchers if watcher.job_id is not None}
            with contextlib.suppress(FeatlasError):  # a database that is busy for a moment; the next beat asks again
                self._tell(await run_in_threadpool(self._look, watched))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), self._beat_s)
        self._last_seq.clear()

    def _look(self, watched: set[int]) -> _Seen:
        newest = list_jobs(self._store, limit=_NEWEST)
        going_on = list_jobs(self._store, states=_GOING_ON, limit=_NEWEST)
        with self._store.read() as session:
            asked_for = list_jobs_by_id(session, watched)
        jobs = {job.id: job for job in [*newest, *going_on, *asked_for.values()]}
        events = {
            job_id: [shapes.job_event(e) for e in list_events(self._store, job_id, after_seq=self._last_seq[job_id])]
            for job_id in watched & self._last_seq.keys()
        }
        return _Seen(list(jobs.values()), events)

    def _tell(self, seen: _Seen) -> None:
        for job in seen.jobs:
            message = _job_message(job)
            content = str(message.data)
            for watcher in self._watchers:
                if watcher.job_id in (None, job.id) and watcher.is_news(job.id, content):
                    watcher.tell(message)
        for job_id, events in seen.events.items():
            for event in events:
                self._last_seq[job_id] = max(self._last_seq[job_id], event.seq)
                for watcher in self._watchers:
                    if watcher.job_id == job_id:
                        watcher.tell(_event_message(event))


async def _read_queue(watcher: _Watcher) -> AsyncIterator[ServerSentEvent]:
    while (message := await watcher.queue.get()) is not None:
        yield message
    yield ServerSentEvent(retry=AGAIN_MS)


def _job_message(job: Job) -> ServerSentEvent:
    return ServerSentEvent(event="job", data=shapes.job_of(job).model_dump(mode="json"))


def _event_message(event: schemas.JobEvent) -> ServerSentEvent:
    return ServerSentEvent(event="event", id=str(event.seq), data=event.model_dump(mode="json"))
