"""Labels from the command line: the job that gives them, and what a person says of them."""

from pathlib import Path
from typing import Any

import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.command import Featlas
from tests.e2e.conftest import CTX_LEN

from featlas.testing.planted_sae import DEAD, ONE_TOKEN, Planted

Json = dict[str, Any]
THE = 'the token " the"'


@pytest.fixture(scope="module")
def featlas(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Featlas:
    """A home with one run, planted, of its own: labels are written into it."""
    folder: Path = tmp_path_factory.mktemp("labels")
    text = save_documents(folder / "made.jsonl", made_documents())
    featlas = Featlas(folder / "home")
    where = ("--model", planted.model, "--sae", planted.sae, "--text", text, "--ctx-len", CTX_LEN)
    featlas.run("extract", *where, "--null-features", 16, "--name", "planted")
    return featlas


def label_of(featlas: Featlas, index: int) -> Json | None:
    (feature,) = featlas.json("features", "planted", f"feature_index:{index}")
    (shown,) = featlas.json("feature", "planted", index)
    assert feature["label"] == shown["label"]
    return feature["label"]


def test_a_life_of_labels(featlas: Featlas):
    assert label_of(featlas, ONE_TOKEN) is None
    assert "no labels of feature 7 yet" in featlas.run("labels", "ls", "planted", ONE_TOKEN).stdout
    (result,) = featlas.json("label", "planted")
    assert result["n_labeled"] + result["n_abstained"] == result["n_features"] == result["n_new"]
    rule = {"semantic_label": THE, "category_label": "Token > Single token", "source": "rule"}
    assert {**rule, "review_state": "unreviewed"} == label_of(featlas, ONE_TOKEN)
    assert label_of(featlas, DEAD) is None
    found = featlas.json("features", "planted", '"the token" is:machine')
    assert ONE_TOKEN in [feature["feature_index"] for feature in found]
    assert THE in featlas.run("features", "planted", "is:labeled").stdout
    assert THE in featlas.run("feature", "planted", ONE_TOKEN).stdout

    (state,) = featlas.json("labels", "add", "planted", ONE_TOKEN, "articles", "--category", "Language", "--by", "ada")
    assert (state["semantic_label"], state["label_source"]) == ("articles", "human")
    again = featlas.run("label", "planted")
    assert "1 of people's" in again.stdout
    newest, oldest = featlas.json("labels", "ls", "planted", ONE_TOKEN)
    assert (newest["is_current"], newest["created_by"], oldest["semantic_label"]) == (True, "ada", THE)
    assert (
        f"feature {ONE_TOKEN}: {THE} (rule, unreviewed)"
        in featlas.run("labels", "reject", newest["label"], "--reason", "too wide").stdout
    )
    assert "(rule, accepted)" in featlas.run("labels", "accept", oldest["label"]).stdout
    (state,) = featlas.json("labels", "restore", newest["label"], "--by", "bob")
    assert (state["semantic_label"], state["label_source"]) == ("articles", "human")
    featlas.run("labels", "reject", state["current_label_id"])
    assert "has no label in force" in featlas.run("labels", "reject", oldest["label"]).stdout
    table = featlas.run("labels", "ls", "planted", ONE_TOKEN).stdout
    assert table.count("rejected") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("label", "nobody"), 3, "no run has"),
        (("label", "planted", "--provider", "dreams"), 2, "--provider"),
        (("label", "planted", "--query", "nonsense:3"), 2, "nonsense"),
        (("labels", "ls", "planted", "99999"), 3, "no feature 99999"),
        (("labels", "add", "planted", "7", " "), 2, "an empty label"),
        (("labels", "add", "planted", "99999", "x"), 3, "no feature 99999"),
        (("labels", "accept", "424242"), 3, "there is no label 424242"),
    ],
)
def test_what_cannot_be_is_refused(featlas: Featlas, arguments: tuple[str, ...], code: int, message: str):
    done = featlas.run(*arguments, code=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
