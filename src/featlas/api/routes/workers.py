"""Who works on the jobs."""

from fastapi import APIRouter

from featlas.api import worker_schemas as schemas
from featlas.api.surroundings import Here
from featlas.store.workers import Worker, list_workers

router = APIRouter(tags=["jobs"])


@router.get("/workers")
def workers(here: Here) -> schemas.Workers:
    """The processes that take jobs, those that started last first, and whether this server takes some itself."""
    with here.store.read() as session:
        items = [_worker_of(worker, here.lease_s) for worker in list_workers(session)]
    return schemas.Workers(items=items, has_runner=here.has_runner, version=here.version)


def _worker_of(worker: Worker, lease_s: float) -> schemas.Worker:
    return schemas.Worker(
        host=worker.host,
        pid=worker.pid,
        queues=list(worker.queues),
        version=worker.code_version,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        is_alive=worker.is_alive(lease_s),
    )
