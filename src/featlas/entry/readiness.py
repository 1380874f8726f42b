"""What must be well for this server to answer requests; each check says what is wrong without naming a place."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from featlas.errors import ConflictError, FeatlasError
from featlas.settings import Settings
from featlas.store.readiness import require_ready
from featlas.store.session import Store
from featlas.store.shared_artifacts import require_shared_place
from featlas.worker.broker import require_broker

_LIMIT_S = 2


def readiness_checks(settings: Settings, store: Store) -> Mapping[str, Callable[[], str]]:
    """By name: the database, the folder of artifacts and, where they are set, the place it shares and the broker."""
    checks: dict[str, Callable[[], str]] = {
        "database": partial(_check_database, store),
        "artifacts": partial(_check_folder, settings.artifacts_path),
    }
    if settings.artifacts_url:
        checks["shared artifacts"] = partial(_check_shared_place, settings.artifacts_path)
    if settings.broker_url:
        checks["broker"] = partial(_check_broker, settings.broker_url)
    return checks


def _check_database(store: Store) -> str:
    try:
        require_ready(store.url, _LIMIT_S)
    except ConflictError:
        return "has not the tables of this version; run `featlas db upgrade`"
    except FeatlasError:
        return "cannot be reached"
    return ""


def _check_folder(path: Path) -> str:
    """By writing: a mount may be read-only, full, or a server's that is gone."""
    probe = path / f".ready-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"ready")
        probe.unlink()
    except OSError:
        return "cannot be written"
    return ""


def _check_shared_place(path: Path) -> str:
    try:
        require_shared_place(path)
    except FeatlasError:
        return "cannot be written"
    return ""


def _check_broker(url: str) -> str:
    try:
        require_broker(url, _LIMIT_S)
    except FeatlasError:
        return "cannot be reached"
    return ""
