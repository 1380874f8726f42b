"""The application behind a real server in a thread, for what only shows over a real connection."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.entry.web import bind
from featlas.store.session import Store


@contextmanager
def served_app(store: Store, folder: Path, **surroundings: Any) -> Iterator[str]:
    """The address at which a store is served until the block ends."""
    given = {"spec_classes": {}, "wake": lambda _job: None, "has_runner": False, "version": "9.9", **surroundings}
    here = Surroundings(store, folder, **given)
    with bind("127.0.0.1", 0) as bound:
        config = uvicorn.Config(create_app(here, ui=folder), log_config=None, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
