"""Bad input through the command line: the class's exit code, one line that names the cause, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.builders.breakages import (
    EXTERNAL,
    INPUT,
    LISTED,
    NOT_FOUND,
    OPTIONS,
    Broken,
    Inputs,
    broken_jsonl,
    nan_weights,
)
from tests.e2e.command import Done, Featlas, QuickFeatlas
from tests.e2e.conftest import PlantedRun

from featlas.store.session import Store
from featlas.testing.planted_sae import Planted

Break = Callable[[Inputs], Broken]


@pytest.fixture(scope="module")
def featlas(tmp_path_factory: pytest.TempPathFactory) -> Featlas:
    return Featlas(tmp_path_factory.mktemp("bad-input") / "home")


@pytest.fixture
def quick(planted_run: PlantedRun) -> QuickFeatlas:
    """The home of the planted run."""
    return planted_run.featlas.quick


@pytest.fixture
def inputs(tmp_path: Path, planted: Planted) -> Inputs:
    return Inputs.of(tmp_path, planted)


def assert_told(done: Done, code: int, *words: str) -> None:
    """One line on stderr that says what happened, and no traceback."""
    assert (code, "") == (done.code, done.stdout), done
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("featlas: "), done.stderr
    assert [] == [word for word in words if word not in line], line


def assert_nothing_left(featlas: Featlas) -> None:
    """No run, no file of one; a job that failed says why and can be resumed."""
    store = Store.open(f"sqlite:///{featlas.home / 'featlas.db'}")
    with store.read() as session:
        assert 0 == session.scalar(text("SELECT count(*) FROM runs"))
        for state, message in session.execute(text("SELECT state, error_message FROM jobs")):
            assert ("failed", True) == (state, bool(message))
    store.close()
    assert [] == list(featlas.home.glob("artifacts/*"))


@pytest.mark.parametrize("break_it", [*LISTED, *OPTIONS])
def test_extractions_that_cannot_be(featlas: Featlas, inputs: Inputs, break_it: Break) -> None:
    code, words = break_it(inputs)
    assert_told(featlas.run("extract", *inputs.arguments(), "--json", code=None), code, *words)
    assert_nothing_left(featlas)


def test_a_check_refuses_like_an_extraction(featlas: Featlas, inputs: Inputs) -> None:
    code, words = nan_weights(inputs)
    where = ("--model", inputs.model, "--sae", inputs.sae, "--text", inputs.text)
    assert_told(featlas.run("check", *where, "--json", code=None), code, *words)


def test_a_mended_text_is_read_by_the_same_command(planted: Planted, inputs: Inputs, tmp_path: Path) -> None:
    featlas = Featlas(tmp_path / "home")
    good = inputs.text.read_text()
    broken_jsonl(inputs)
    featlas.run("extract", *inputs.arguments(), code=INPUT)
    inputs.text.write_text(good)
    done = featlas.json("extract", *inputs.arguments())[-1]
    assert (1, "finished", 1) == (done["run"], done["state"], done["job"])


def test_queries_that_cannot_be(planted_run: PlantedRun, quick: QuickFeatlas) -> None:
    run = planted_run.run
    for query, word in (("is:dea", "dea"), ("max_activation:>high", "high"), ("(is:dead", "("), ("magic:>3", "magic")):
        assert_told(quick.run("features", run, query, "--json", code=None), INPUT, word)
    assert_told(quick.run("features", run, "--sort", "magic", "--json", code=None), INPUT, "magic")
    assert_told(quick.run("features", run, "--limit", "-1", "--json", code=None), INPUT, "-1")


def test_what_is_not_there(planted_run: PlantedRun, quick: QuickFeatlas) -> None:
    assert_told(quick.run("features", 99, "--json", code=None), NOT_FOUND, "99", "planted")
    assert_told(quick.run("feature", "no-such-run", 0, "--json", code=None), NOT_FOUND, "no-such-run")
    assert_told(quick.run("feature", planted_run.run, 80, "--json", code=None), NOT_FOUND, "80", "0 … 79")
    assert_told(quick.run("feature", planted_run.run, -1, "--json", code=None), NOT_FOUND, "-1")


@pytest.mark.parametrize(
    "command",
    [["runs", "--json"], ["jobs", "ls", "--json"], ["features", "1", "--json"], ["db", "upgrade"], ["db", "check"]],
)
def test_a_home_that_cannot_be_written(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("")
    featlas = Featlas(tmp_path / "file" / "home")
    assert_told(featlas.run(*command, code=None), EXTERNAL, str(featlas.home), "FEATLAS_HOME")


def test_an_extraction_into_a_home_that_cannot_be_written(tmp_path: Path, inputs: Inputs) -> None:
    (tmp_path / "file").write_text("")
    featlas = Featlas(tmp_path / "file" / "home")
    done = featlas.run("extract", *inputs.arguments(), "--json", code=None)
    assert_told(done, EXTERNAL, str(featlas.home), "FEATLAS_HOME")


def test_a_job_with_more_digits_than_a_database_takes(quick: QuickFeatlas) -> None:
    for command in ("show", "cancel", "pause", "resume"):
        assert_told(quick.run("jobs", command, 2**64, code=None), NOT_FOUND, str(2**64))


def test_an_empty_setting_is_not_set(tmp_path: Path) -> None:
    featlas = Featlas(tmp_path / "home", {"FEATLAS_HOME": "", "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)})
    featlas.run("runs", cwd=tmp_path)
    assert [tmp_path / "featlas"] == list(tmp_path.iterdir())


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    featlas = QuickFeatlas(tmp_path / "home", {"FEATLAS_THREADS": "many"})
    assert_told(featlas.run("runs", "--json", code=None), INPUT, "many")
    featlas = QuickFeatlas(tmp_path / "home", {"FEATLAS_DATABASE_URL": "mysql://x/y"})
    assert_told(featlas.run("runs", "--json", code=None), INPUT, "mysql")
    featlas = QuickFeatlas(tmp_path / "home", {"FEATLAS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert_told(featlas.run("runs", "--json", code=None), EXTERNAL, "127.0.0.1:1")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    featlas = Featlas(tmp_path / "home")
    featlas.home.mkdir()
    (featlas.home / "featlas.db").write_text("not a database at all, but long enough to be looked at as one" * 100)
    assert_told(featlas.run("runs", "--json", code=None), INPUT, "featlas.db", "not a database")
