"""Labels from the command line: the job that gives them, and what a person says of them."""

from pathlib import Path
from typing import Any

import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.command import Featlas, QuickFeatlas
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


@pytest.fixture(scope="module")
def quick(featlas: Featlas) -> QuickFeatlas:
    return featlas.quick


def label_of(featlas: Featlas, index: int) -> Json | None:
    (feature,) = featlas.json("features", "planted", f"feature_index:{index}")
    (shown,) = featlas.json("feature", "planted", index)
    assert feature["label"] == shown["label"]
    return feature["label"]


def test_a_life_of_labels(featlas: Featlas):
    assert label_of(featlas.quick, ONE_TOKEN) is None
    assert "no labels of feature 7 yet" in featlas.run("labels", "ls", "planted", ONE_TOKEN).stdout
    (result,) = featlas.json("label", "planted")
    assert result["n_labeled"] + result["n_abstained"] == result["n_features"] == result["n_new"]
    rule = {"semantic_label": THE, "category_label": "Token > Single token", "source": "rule"}
    assert {**rule, "review_state": "unreviewed"} == label_of(featlas.quick, ONE_TOKEN)
    assert label_of(featlas.quick, DEAD) is None
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


def test_a_queue_is_worked_through_and_undone(quick: QuickFeatlas):
    quick.run("label", "planted")
    asked = ("review", "queue", "planted", "is:unlabeled", "-is:dead", f"-feature_index:{ONE_TOKEN}")
    waiting = [state["feature_index"] for state in quick.json(*asked)]
    first, second = waiting[:2]
    table = quick.run(*asked, "--limit", 1)
    assert f"{len(waiting)} of {len(waiting)} matching features wait" in table.stderr
    assert f"{second} " not in table.stdout
    label = quick.json("labels", "ls", "planted", ONE_TOKEN)[-1]["label"]
    before = quick.json("labels", "ls", "planted", ONE_TOKEN)

    quick.run("review", "accept", label, "--by", "ada")
    (step,) = quick.json("review", "reject", label, "--reason", "too wide", "--by", "ada")
    assert (step["action"]["action"], step["action"]["label"]) == ("reject", label)
    assert step["state"]["current_label_id"] != label
    quick.run("review", "write", "planted", first, "in ada's words", "--category", "Language", "--by", "ada")
    assert f"ada skipped feature {second}" in quick.run("review", "skip", "planted", second, "--by", "ada").stdout
    assert [state["feature_index"] for state in quick.json(*asked, "--by", "ada")] == waiting[2:]
    assert "1 more were skipped" in quick.run(*asked, "--by", "ada").stderr
    steps = quick.json("review", "log", "planted", "--by", "ada")
    assert [step["action"] for step in steps] == ["skip", "write", "reject", "accept"]
    assert "in ada's words" in quick.run("review", "log", "planted", "--limit", 2).stdout

    for step in steps:
        (undone,) = quick.json("review", "undo", "planted", "--by", "ada")
        assert undone["action"]["step"] == step["step"]
    assert [state["feature_index"] for state in quick.json(*asked, "--by", "ada")] == waiting
    assert quick.json("labels", "ls", "planted", ONE_TOKEN) == before
    assert "nothing is left to undo" in quick.run("review", "undo", "planted", "--by", "ada", code=4).stderr
    assert quick.run("review", "log", "planted").stdout.count("undone") == 4


def test_what_others_judged_since_is_left_as_it_is(quick: QuickFeatlas):
    quick.run("label", "planted")
    label = quick.json("labels", "ls", "planted", ONE_TOKEN)[-1]["label"]
    quick.run("review", "skip", "planted", 3, "--by", "eve")
    quick.run("review", "accept", label, "--by", "eve")
    quick.run("labels", "reject", label, "--by", "bob")
    assert "but bob has rejected it since" in quick.run("review", "undo", "planted", "--by", "eve", code=4).stderr
    undone = quick.run("review", "undo", "planted", "--by", "eve", "--leave-overtaken").stdout
    assert undone.splitlines()[0] == "undone: eve skipped feature 3"


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
        (("review", "queue", "planted", "nonsense:3"), 2, "nonsense"),
        (("review", "queue", "planted", "--limit", "-1"), 2, "--limit -1"),
        (("review", "accept", "424242"), 2, "needs --by"),
        (("review", "undo", "planted", "--by", "nobody"), 4, "nothing is left to undo"),
    ],
)
def test_what_cannot_be_is_refused(quick: QuickFeatlas, arguments: tuple[str, ...], code: int, message: str):
    done = quick.run(*arguments, code=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
