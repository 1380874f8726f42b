"""A small labeled run behind a door that asks for tokens, in this process or on a real port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from featlas.api.app import create_app
from featlas.api.door import LOOPBACK_NAMES, Door
from featlas.api.surroundings import Surroundings
from featlas.entry.web import bind
from featlas.pipeline.registry import KINDS
from featlas.store.session import Store

NAME = "atlas.example.org"
CLOSED = Door(allowed_hosts=LOOPBACK_NAMES | {NAME}, requires_token=True)


def make_ui(folder: Path) -> Path:
    """As much of a built page as the door asks about."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text("<!doctype html><html><head></head><body>our page</body></html>")
    (folder / "icon.svg").write_text("<svg/>")
    (folder / "assets" / "index-abc.js").write_text("let x")
    return folder


def make_app(store: Store, folder: Path, door: Door = CLOSED, *, root_path: str = "", **more: object) -> FastAPI:
    specs = {name: kind.spec_class for name, kind in KINDS.items()}
    here = Surroundings(store, folder, specs, wake=lambda _job: None, has_runner=False, version="9.9")
    return create_app(replace(here, **more), ui=make_ui(folder / "web"), door=door, root_path=root_path)


def client_of(app: FastAPI, url: str = "http://localhost", **more: object) -> TestClient:
    """A client that takes redirects and cookies as they come, and sees a 500 as an answer."""
    return TestClient(app, base_url=url, raise_server_exceptions=False, follow_redirects=False, **more)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@contextmanager
def served_on_a_port(app: FastAPI) -> Iterator[str]:
    """The address of a real server."""
    with bind("127.0.0.1", 0) as bound:
        bound.listen()  # who comes before the server has started waits for it
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, http="h11"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
