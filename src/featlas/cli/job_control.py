"""The commands for jobs."""

import json
from typing import Any

from rich.table import Table

from featlas.cli.extracting import run_job_here
from featlas.cli.progress_bar import count_text
from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.domain import JobState
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job, list_events, list_jobs

PAGE = 200
GOING_ON = (JobState.QUEUED, JobState.RUNNING)


def job_to_json(job: Job) -> dict[str, Any]:
    """A job as one JSON object."""
    return {
        "job": job.id,
        "uid": job.uid,
        "kind": job.kind,
        "state": str(job.state),
        "attempt": job.attempt,
        "progress": job.progress,
        "result": job.result,
        "error_class": job.error_class,
        "error_message": job.error_message,
        "spec": job.spec,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def print_jobs(*, as_json: bool) -> int:
    """All jobs, page by page, newest first."""
    with opened() as here:
        jobs.reconcile(here.store)
        rows: list[Job] = []
        while page := list_jobs(here.store, limit=PAGE, before_id=rows[-1].id if rows else None):
            rows += page
    if as_json:
        for job in rows:
            print(json.dumps(job_to_json(job)))
        return 0
    table = Table("job", "kind", "state", "phase", "done", "attempt", "created", box=None)
    for column in table.columns:
        column.no_wrap = column.header not in ("phase", "done")
    for job in rows:
        state = job.progress or {}
        count = count_text(state) if state.get("phase") else ""
        created = job.created_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(str(job.id), job.kind, job.state, state.get("phase", ""), count, str(job.attempt), created)
    result_console().print(table if rows else "no jobs yet; `featlas extract` makes one")
    return 0


def print_job(job_id: int, *, as_json: bool) -> int:
    """One job and its events."""
    with opened() as here:
        jobs.reconcile(here.store)
        job, events = fetch_job(here.store, job_id), list_events(here.store, job_id)
    if as_json:
        shown = [{"seq": e.seq, "at": e.at.isoformat(), "kind": e.kind, "payload": e.payload} for e in events]
        print(json.dumps({**job_to_json(job), "events": shown}))
        return 0
    console = result_console()
    console.print(f"job {job.id}: {job.kind}, {job.state}, attempt {job.attempt}", style="bold")
    if job.error_message:
        console.print(f"{job.error_class}: {job.error_message}", soft_wrap=True)
    for event in events:
        what = f"{event.kind:<16} {_payload_text(event.payload or {})}".rstrip()
        console.print(f"  {event.at:%Y-%m-%d %H:%M:%S}  {what}", soft_wrap=True)
    return 0


def _payload_text(payload: dict[str, Any]) -> str:
    """`attempt 1, owner vm/…`: what is nested is told by its own names."""
    parts = []
    for name, value in payload.items():
        if isinstance(value, dict):
            parts.append(_payload_text(value))
        else:
            parts.append(f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(part for part in parts if part)


def cancel_job(job_id: int) -> int:
    """Ask for the end of a job."""
    with opened() as here:
        jobs.reconcile(here.store)
        job = jobs.request_cancel(here.store, job_id)
    print(f"job {job_id} is {'being cancelled' if job.cancel_requested else job.state}")
    return 0


def pause_job(job_id: int) -> int:
    """Ask for a break."""
    with opened() as here:
        jobs.reconcile(here.store)
        jobs.request_pause(here.store, job_id)
    print(f"job {job_id} is being paused")
    return 0


def resume_job(job_id: int, *, as_json: bool) -> int:
    """Go on with a job in the foreground."""
    with opened() as here:
        jobs.reconcile(here.store)
        job = fetch_job(here.store, job_id)
        done = run_job_here(here, job if job.state in GOING_ON else jobs.resume(here.store, job_id))
    print(json.dumps(done.result) if as_json else f"job {job_id} {done.state}: {_payload_text(done.result or {})}")
    return 0
