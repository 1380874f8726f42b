"""The commands for the database: what they print, which errors they end with, and that no password is in either."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tests.builders.full_tables import N_ROWS, fill_tables

from featlas.cli.main import main
from featlas.store.session import Store

NewStoreUrl = Callable[[str], str]


def run(*argv: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["db", *argv])
    return ended.value.code


@pytest.fixture
def source(new_store_url: NewStoreUrl) -> str:
    url = new_store_url("sqlite")
    store = Store.open(url)
    with store.write() as session:
        fill_tables(session.connection())
    store.close()
    return url


def test_copy_prints_each_table_and_what_is_not_copied(
    source: str, new_store_url: NewStoreUrl, capsys: pytest.CaptureFixture[str]
):
    target = make_url(new_store_url("postgresql")).set(password="sesame").render_as_string(hide_password=False)
    assert run("copy", source, target) == 0
    printed = capsys.readouterr().out
    assert ["labels", str(N_ROWS)] in [line.split()[:2] for line in printed.splitlines()]
    assert "all were compared" in printed
    assert "not copied: the folders of runs (FEATLAS_HOME/artifacts)" in printed
    assert run("copy", source, target) == 4
    printed += capsys.readouterr().err
    assert "holds rows already" in printed
    assert "postgres:***@" in printed
    assert "sesame" not in printed


def test_backup_writes_the_store_in_force_and_comes_back_by_copy(
    source: str,
    new_store_url: NewStoreUrl,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("FEATLAS_DATABASE_URL", source)
    monkeypatch.chdir(tmp_path)
    assert run("backup", "monday.db", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["target"], printed["n_rows"]) == (str(tmp_path / "monday.db"), N_ROWS * len(printed["tables"]))
    assert run("backup", "monday.db") == 4
    assert run("copy", f"sqlite:///{tmp_path}/monday.db", new_store_url("sqlite")) == 0


def test_a_source_that_is_not_there_ends_with_its_own_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("copy", f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tmp_path}/new.db") == 3
    assert "there is no database" in capsys.readouterr().err
