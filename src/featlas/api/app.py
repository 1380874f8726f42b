"""Puts the API together: routes, answers to failures, the guard at the door, and the UI."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from featlas.api.events import JobWatch
from featlas.api.guard import LOOPBACK_NAMES, OnlyOurselves
from featlas.api.pages import add_pages
from featlas.api.problems import MEDIA_TYPE, add_problem_answers
from featlas.api.routes import feature, features, jobs, labels, library
from featlas.api.schemas import Problem
from featlas.api.surroundings import Surroundings

PREFIX = "/api/v1"
_PROBLEM_STATUSES = (403, 404, 409, 422, 500, 502)


def create_app(
    surroundings: Surroundings, *, ui: Path, allowed_hosts: Collection[str] = LOOPBACK_NAMES, base_path: str = ""
) -> FastAPI:
    """The application over a store; `ui` is the folder of the built UI, `base_path` where a proxy shows it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.job_watch = JobWatch(surroundings.store)
        yield
        await app.state.job_watch.close()

    app = FastAPI(
        title="Featlas",
        version="1",  # of the API, as in its addresses; the program's is in /health
        description="What the features of a sparse autoencoder mean: runs, features, labels and jobs.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        root_path=base_path,
        responses={status: {"model": Problem, "content": {MEDIA_TYPE: {}}} for status in _PROBLEM_STATUSES},
    )
    app.state.surroundings = surroundings
    add_problem_answers(app)
    for room in (library, features, feature, labels, jobs):
        app.include_router(room.router, prefix=PREFIX)
    add_pages(app, ui)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=4)
    app.add_middleware(OnlyOurselves, allowed_hosts=allowed_hosts)
    return app
