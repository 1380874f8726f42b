"""Puts the API together: routes, answers to failures, the guard at the door, and the UI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from featlas.api import blocks, logins
from featlas.api.door import Door
from featlas.api.doorkeeper import Doorkeeper
from featlas.api.events import JobWatch
from featlas.api.guard import OnlyOurselves
from featlas.api.headers import SafeHeaders
from featlas.api.limits import BodyLimit, StreamPlaces
from featlas.api.metrics import Metrics
from featlas.api.pages import add_pages
from featlas.api.probes import Probes
from featlas.api.problems import MEDIA_TYPE, add_problem_answers
from featlas.api.routes import (
    correlations,
    directions,
    feature,
    features,
    figures,
    jobs,
    labelings,
    labels,
    library,
    reviews,
    templates,
    workers,
)
from featlas.api.schemas import Problem
from featlas.api.surroundings import Surroundings
from featlas.api.turns import N_AT_A_TIME, in_turn
from featlas.api.watching import Watched
from featlas.errors import FeatlasError
from featlas.store.runs import list_runs

PREFIX = "/api/v1"
# Numbers hardly shrink: packing the columns of 131,072 features takes 150 ms, sending them as they are takes 3.
_SENT_AS_THEY_ARE = (*DEFAULT_EXCLUDED_CONTENT_TYPES, blocks.MEDIA_TYPE)
_PROBLEM_STATUSES = (400, 401, 403, 404, 409, 413, 422, 429, 500, 502)
_AT_HOME = Door()


def _read_ahead(surroundings: Surroundings) -> None:
    """Bring the newest run's columns into memory before the first who asks has to wait for them: up to a second."""
    with suppress(FeatlasError), surroundings.store.read() as session:
        for run in list_runs(session, limit=1):
            if run.snapshot_id is not None:
                surroundings.columns.load(session, run.snapshot_id)


def create_app(surroundings: Surroundings, *, ui: Path, door: Door = _AT_HOME, root_path: str = "") -> FastAPI:
    """The application over a store; `ui` is the folder of the built UI, `root_path` where a proxy shows it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.job_watch = JobWatch(surroundings.store)
        reading_ahead = asyncio.create_task(run_in_threadpool(_read_ahead, surroundings))
        yield
        await app.state.job_watch.close()
        await reading_ahead

    app = FastAPI(
        title="Featlas",
        version="1",  # of the API, as in its addresses; the program's is in /health
        description="What the features of a sparse autoencoder mean: runs, features, labels and jobs.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses={status: {"model": Problem, "content": {MEDIA_TYPE: {}}} for status in _PROBLEM_STATUSES},
    )
    # Not an argument: FastAPI would have it from the server, and uvicorn's is for proxies that take the prefix away.
    app.root_path = root_path
    app.state.surroundings = surroundings
    app.state.metrics = Metrics(
        surroundings.store,
        surroundings.version,
        surroundings.lease_s,
        count_streams=lambda: app.state.job_watch.n_watchers,
    )
    app.state.turns = asyncio.Semaphore(N_AT_A_TIME)
    app.state.stream_places = StreamPlaces(door.max_streams, door.max_streams_each)
    add_problem_answers(app)
    in_turns = [Depends(in_turn, scope="function")]
    rooms = (library, features, feature, correlations, directions, labels, labelings, reviews, templates, jobs, workers)
    for room in rooms:
        app.include_router(
            room.router,
            prefix=PREFIX,
            dependencies=in_turns if room in (features, feature, correlations, directions) else [],
        )
    app.include_router(logins.router)
    app.include_router(figures.router)
    add_pages(app, ui)
    _add_doors(app, surroundings, ui, door)
    templates_of = {id(route): PREFIX + getattr(route, "path", "") for room in rooms for route in room.router.routes}
    app.add_middleware(Watched, metrics=app.state.metrics, templates=templates_of)
    return app


def _add_doors(app: FastAPI, surroundings: Surroundings, ui: Path, door: Door) -> None:
    """What a request passes before a route sees it; the last that is added is the first that is met."""
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=4, exclude_content_types=_SENT_AS_THEY_ARE)
    app.add_middleware(BodyLimit, max_bytes=door.max_body_bytes)
    if door.requires_token:
        app.add_middleware(Doorkeeper, store=surroundings.store, ui=ui)
    app.add_middleware(OnlyOurselves, door=door)
    app.add_middleware(Probes, checks=surroundings.checks)
    app.add_middleware(SafeHeaders)
