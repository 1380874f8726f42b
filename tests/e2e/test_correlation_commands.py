"""Correlations from the command line: partners of all features by a job, and the matrix of a few."""

import json
from pathlib import Path

import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.command import Featlas
from tests.e2e.conftest import CTX_LEN

from featlas.testing.planted_sae import DEAD, ONE_TOKEN, OTHER_TWIN, TWIN, Planted


@pytest.fixture(scope="module")
def featlas(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Featlas:
    """A home with one planted run of its own."""
    folder: Path = tmp_path_factory.mktemp("correlations")
    text = save_documents(folder / "made.jsonl", made_documents())
    featlas = Featlas(folder / "home")
    where = ("--model", planted.model, "--sae", planted.sae, "--text", text, "--ctx-len", CTX_LEN)
    featlas.run("extract", *where, "--null-features", 16, "--name", "planted")
    return featlas


def test_partners_of_all_features(featlas: Featlas):
    (result,) = featlas.json("correlate", "planted")
    assert (result["name"], result["unit"], result["is_estimate"]) == ("planted", "token", False)
    assert result["n_dead"] >= 1
    assert result["n_near_duplicates"] >= 1
    told = featlas.run("correlate", "planted", "--unit", "context").stdout
    assert "contexts" in told
    assert "never fire" in told


def test_the_matrix_of_a_few(featlas: Featlas):
    chosen = f"{TWIN},{OTHER_TWIN},{DEAD},{ONE_TOKEN}"
    done = featlas.run("correlate", "planted", "--matrix", "--features", chosen, "--method", "cosine", "--json")
    found = json.loads(done.stdout)
    assert found["features"] == [TWIN, OTHER_TWIN, DEAD, ONE_TOKEN]
    assert found["value"][0][:3] == [1.0, pytest.approx(1.0), None]
    assert found["reasons"] == [None, None, "dead", None]
    told = featlas.run("correlate", "planted", "--matrix", "--features", chosen, "--unit", "context").stdout
    assert f"feature {DEAD} has none: it is dead" in told


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (
            ("planted", "--matrix", "--features", "1", "--method", "luck"),
            2,
            "there is no method 'luck'; expected one of",
        ),
        (("planted", "--matrix", "--features", "1", "--unit", "page"), 2, "there is no unit 'page'"),
        (("planted", "--unit", "page"), 2, "there is no unit 'page'"),
        (("nobody", "--matrix", "--features", "1"), 3, "no run has"),
        (("nobody",), 3, "no run has"),
        (("planted", "--matrix", "--features", "1,999999"), 2, "there is no feature 999999"),
        (("planted", "--matrix", "--features", "1,2,1"), 2, "feature 1 is named twice"),
        (("planted", "--matrix"), 2, "no features are named"),
        (("planted", "--features", "1"), 2, "--features goes with --matrix"),
    ],
)
def test_what_cannot_be_is_refused(featlas: Featlas, arguments: tuple[str, ...], code: int, complaint: str):
    done = featlas.run("correlate", *arguments, code=code)
    assert complaint in done.stderr
