"""Work in progress: ask for it, watch it, stop it and go on with it."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from featlas.api import schemas, shapes
from featlas.api.limits import take_place
from featlas.api.places import require_inside
from featlas.api.surroundings import Here
from featlas.domain import JobState
from featlas.errors import ConflictError, InputError
from featlas.specs import CorrelateSpec, LabelSpec, Spec, read_spec
from featlas.store import jobs as job_store
from featlas.store.correlations import enqueue_correlation
from featlas.store.job_views import fetch_job, find_unfinished, list_events
from featlas.store.job_views import list_jobs as list_stored
from featlas.store.labelings import enqueue_labeling

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("")
def list_jobs(
    here: Here,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[int | None, Query(ge=0, lt=2**63, description="The `next` of the page before.")] = None,
    state: Annotated[list[JobState] | None, Query()] = None,
    kind: str = "",
) -> schemas.Jobs:
    """Jobs, newest first."""
    job_store.reconcile(here.store)
    found = list_stored(here.store, states=state or (), kind=kind, limit=limit + 1, before_id=after)
    shown = found[:limit]
    return schemas.Jobs(
        items=[shapes.job_of(job) for job in shown], next=str(shown[-1].id) if len(found) > limit else None
    )


@router.post("", status_code=201)
def start(new: schemas.NewJob, here: Here) -> schemas.Job:
    """Ask for work: a kind of job and its Spec, the same as the CLI's. The same work is not queued twice."""
    spec = _read_spec(here, new)
    if isinstance(spec, LabelSpec | CorrelateSpec):
        enqueue = enqueue_labeling if isinstance(spec, LabelSpec) else enqueue_correlation
        job = enqueue(here.store, spec)  # type: ignore[arg-type]
        here.wake(job.id)
        return shapes.job_of(job)
    known = find_unfinished(here.store, new.kind, spec.content_hash())
    if known is not None and known.state in (JobState.QUEUED, JobState.RUNNING):
        raise ConflictError(f"job {known.id} does the same and is {known.state}; watch that one, or cancel it first")
    job = job_store.enqueue(here.store, new.kind, spec)
    here.wake(job.id)
    return shapes.job_of(job)


@router.get("/stream", response_class=EventSourceResponse, dependencies=[Depends(take_place)])
async def stream_all(request: Request) -> AsyncIterator[ServerSentEvent]:
    """All jobs as they change: event `job`, whose data is a Job."""
    async for message in request.app.state.job_watch.watch_all():
        yield message


@router.get("/{job}")
def show(job: int, here: Here) -> schemas.Job:
    """One job."""
    return shapes.job_of(fetch_job(here.store, job))


@router.get("/{job}/events")
def events(
    job: int, here: Here, after: Annotated[int, Query(ge=0, lt=2**31, description="Events known already.")] = 0
) -> schemas.JobEvents:
    """A job and what happened to it: for those who ask again and again instead of listening."""
    found = fetch_job(here.store, job)
    return schemas.JobEvents(
        job=shapes.job_of(found),
        items=[shapes.job_event(event) for event in list_events(here.store, job, after_seq=after)],
    )


def known_job(job: int, here: Here) -> int:
    """The job's number; an unknown one is refused here, because a stream that has begun can only break off."""
    return fetch_job(here.store, job).id


@router.get("/{job}/stream", response_class=EventSourceResponse, dependencies=[Depends(take_place)])
async def stream(
    job: Annotated[int, Depends(known_job)], request: Request, last_event_id: Annotated[str | None, Header()] = None
) -> AsyncIterator[ServerSentEvent]:
    """A job as it changes (event `job`) and what happens to it (event `event`, whose id is its number)."""
    is_number = last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 20
    seen = int(last_event_id or 0) if is_number else 0
    async for message in request.app.state.job_watch.watch(job, min(seen, 2**31 - 1)):
        yield message


@router.post("/{job}/cancel")
def cancel(job: int, here: Here) -> schemas.Job:
    """Stop a job for good; what is done is kept, and a resume goes on from it."""
    return shapes.job_of(job_store.request_cancel(here.store, job))


@router.post("/{job}/pause")
def pause(job: int, here: Here) -> schemas.Job:
    """Stop a running job for now."""
    return shapes.job_of(job_store.request_pause(here.store, job))


@router.post("/{job}/resume")
def resume(job: int, here: Here) -> schemas.Job:
    """Put a paused, cancelled or failed job back into the queue."""
    found = job_store.resume(here.store, job)
    here.wake(found.id)
    return shapes.job_of(found)


def _read_spec(here: Here, new: schemas.NewJob) -> Spec:
    if new.kind not in here.spec_classes:
        raise InputError(f"there are no jobs of kind {new.kind!r}; expected one of {', '.join(here.spec_classes)}")
    spec = read_spec(here.spec_classes[new.kind], new.spec)
    if here.roots is not None:
        require_inside(spec, here.roots)
    return spec
