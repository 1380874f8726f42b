"""What there is: the server itself, models, SAEs and runs with their health."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from featlas.api import schemas, shapes
from featlas.api.surroundings import Here
from featlas.errors import InputError
from featlas.store.column_cache import load_column
from featlas.store.job_views import Job, list_jobs_by_id
from featlas.store.library import StateCounts, count_states, fetch_sae, list_models, list_saes
from featlas.store.runs import Run, fetch_run, list_runs

router = APIRouter(tags=["library"])


@router.get("/health")
async def health(
    here: Here, request: Request
) -> schemas.Health:  # needs no thread, so it is answered however many wait for one
    """That the server answers, and which version it is."""
    access = getattr(request.state, "access", None)
    is_sqlite = here.store.url.get_backend_name() == "sqlite"
    return schemas.Health(
        version=here.version,
        database="sqlite" if is_sqlite else "postgresql",
        has_runner=here.has_runner,
        access="open" if access is None else access.scope.value,
    )


@router.get("/models")
def models(here: Here) -> list[schemas.Model]:
    """All language models, newest first."""
    with here.store.read() as session:
        return [schemas.Model(**vars(model)) for model in list_models(session)]


@router.get("/saes")
def saes(here: Here) -> list[schemas.Sae]:
    """All SAEs, newest first, with the run that is meant where none is named."""
    with here.store.read() as session:
        return [shapes.sae_of(sae) for sae in list_saes(session)]


@router.get("/saes/{sae}")
def sae(sae: str, here: Here) -> schemas.Sae:
    """One SAE, by uid, id or name."""
    with here.store.read() as session:
        return shapes.sae_of(fetch_sae(session, sae))


@router.get("/runs")
def runs(
    here: Here, limit: Annotated[int, Query(ge=1, le=200)] = 50, after: Annotated[str | None, Query()] = None
) -> schemas.Runs:
    """Runs with their health, newest first."""
    with here.store.read() as session:
        found = list_runs(session, limit=limit + 1, before_id=_before(after))
        shown = found[:limit]
        items = _with_health(here, session, shown)
    return schemas.Runs(items=items, next=str(shown[-1].id) if len(found) > limit else None)


@router.get("/runs/{run}")
def run(run: str, here: Here) -> schemas.Run:
    """One run, by id, name or start of the uid."""
    with here.store.read() as session:
        return _with_health(here, session, [fetch_run(session, run)])[0]


def _before(after: str | None) -> int | None:
    if after is None:
        return None
    if not after.isdecimal() or len(after) > 19 or int(after) >= 2**63:
        raise InputError(f"{after!r} is not a page mark; expected the `next` of an earlier page")
    return int(after)


def _with_health(here: Here, session, found: list[Run]) -> list[schemas.Run]:
    states = count_states(session, {run.sae_id for run in found})
    of_saes = {sae.id: sae for sae in list_saes(session)}
    jobs: dict[int, Job] = list_jobs_by_id(session, {run.job_id for run in found if run.job_id is not None})
    items = []
    for run in found:
        density = None
        if run.snapshot_id is not None:
            frequency = load_column(session, run.snapshot_id, "activation_frequency")
            density = shapes.density_histogram(frequency[: run.n_features])
        job = jobs.get(run.job_id) if run.job_id is not None else None
        items.append(shapes.run_of(run, of_saes[run.sae_id], job, states.get(run.sae_id, StateCounts()), density))
    return items
