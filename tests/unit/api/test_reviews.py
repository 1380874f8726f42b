from typing import Any

import pytest
from tests.unit.api.conftest import Served

from featlas.domain import LabelSource, LabelStatus
from featlas.store.machine_labels import LabelingOrigin, MachineLabel, MachineLabelWriter

Json = dict[str, Any]


def machine(served: Served, feature: int, text: str, *lint: str) -> int:
    """A machine's label; its id."""
    said = (feature, LabelStatus.LABELED, LabelSource.LEXICAL, "lexical", text, "Token > Word", "because")
    label = MachineLabel(*said, evidence_hash=text, evidence={}, lint=lint)
    MachineLabelWriter(served.store, LabelingOrigin(served.sae.id, served.run.id, None)).add([label])
    return served.of_sae(f"features/{feature}/labels").json()["items"][0]["id"]


def post(served: Served, path: str, **body: object):
    return served.client.post(f"/api/v1/saes/{served.sae.uid}/{path}", json=body)


def review(served: Served, feature: int, action: str, by: str = "ada", **more: object) -> Json:
    answer = post(served, f"features/{feature}/reviews", action=action, reviewer=by, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def undo(served: Served, by: str = "ada", **more: object):
    return post(served, "reviews/undo", reviewer=by, **more)


def test_the_queue_says_what_waits_and_how_far_a_reviewer_is(served: Served):
    for feature in (0, 2, 3):
        machine(served, feature, f"label {feature}")
    review(served, 3, "skip")
    found = served.of_sae("queue", q="feature_index:<4", reviewer="ada").json()
    assert (found["ids"], found["n_matches"], found["n_waiting"], found["n_skipped"]) == ([2, 0], 4, 2, 1)
    assert (found["run"]["id"], found["order"]) == (served.run.id, "doubt")
    assert found["query"]["parts"][0]["text"] == "feature_index:<4"
    assert found["progress"] == {
        "n_reviewed": 0,
        "n_skipped": 1,
        "since": found["progress"]["since"],
        "per_minute": None,
    }
    found = served.of_sae("queue", limit=1, order="query", q="sort:feature_index", run=served.run.name).json()
    assert (found["ids"], found["n_waiting"], found["progress"], found["order"]) == ([0], 3, None, "query")


def test_a_label_is_accepted_rejected_and_both_are_undone(served: Served):
    first, second = machine(served, 2, "one"), machine(served, 2, "two", "markup")
    seen = served.of_sae("features/2/labels").json()["rev"]
    accepted = review(served, 2, "accept", label_id=second, expected_rev=seen)
    assert accepted["action"] == {
        "id": accepted["action"]["id"],
        "feature_index": 2,
        "action": "accept",
        "label_id": second,
        "semantic_label": "two",
        "reviewer": "ada",
        "created_at": accepted["action"]["created_at"],
        "undone_at": None,
    }
    assert accepted["labels"] == served.of_sae("features/2/labels").json()
    assert accepted["labels"]["current"]["id"] == second
    assert accepted["state"] == {
        "feature_index": 2,
        "semantic_label": "two",
        "category_label": "Token > Word",
        "source": "lexical",
        "label_id": second,
        "review_state": "accepted",
        "lint": ["markup"],
        "score": None,
        "is_favorite": False,
        "rev": seen + 1,
        "is_waiting": False,
    }
    rejected = review(served, 2, "reject", label_id=second, reason="too wide")
    assert (rejected["labels"]["current"]["id"], rejected["state"]["is_waiting"]) == (first, True)
    assert rejected["labels"]["items"][0]["reject_reason"] == "too wide"

    for expected in (rejected, accepted):
        answer = undo(served)
        assert (answer.status_code, answer.json()["action"]["id"]) == (200, expected["action"]["id"])
        assert answer.json()["action"]["undone_at"] is not None
    assert answer.json()["labels"]["current"]["id"] == first
    answer = undo(served)
    assert (answer.status_code, answer.json()["error_class"]) == (409, "ConflictError")
    assert "nothing is left to undo" in answer.json()["detail"]


def test_a_label_is_written_with_its_run_and_taken_back(served: Served):
    body = {"semantic_label": "court words", "category_label": "Topic>Law", "explanation": "Courts."}
    written = review(served, 3, "write", **body)
    current = written["labels"]["current"]
    assert (current["semantic_label"], current["category_label"], current["explanation"]) == (
        "court words",
        "Topic > Law",
        "Courts.",
    )
    assert (current["evidence_run"], current["created_by"], current["source"]) == (served.run.id, "ada", "human")
    found = undo(served).json()
    assert (found["labels"]["current"], found["labels"]["items"][0]["reject_reason"]) == (None, "taken back")
    path = f"features/3/reviews?run={served.run.name}"
    again = post(served, path, action="write", reviewer="ada", semantic_label="again").json()
    assert again["labels"]["current"]["evidence_run"] == served.run.id


def test_a_skip_changes_no_label_and_names_the_feature_to_go_back_to(served: Served):
    machine(served, 2, "one")
    before = served.of_sae("features/2/labels").json()
    assert review(served, 2, "skip")["labels"] == before
    found = undo(served).json()
    assert (found["action"]["feature_index"], found["labels"]) == (2, before)


def test_what_somebody_else_judged_stays_and_is_passed_over_on_request(served: Served):
    label = machine(served, 2, "one")
    review(served, 3, "skip")
    review(served, 2, "accept", label_id=label)
    review(served, 2, "reject", by="bob", label_id=label)
    answer = undo(served)
    assert (answer.status_code, answer.json()["error_class"]) == (409, "ConflictError")
    assert "bob has rejected it since" in answer.json()["detail"]
    assert undo(served, leave_overtaken=True).json()["action"]["feature_index"] == 3


def test_a_change_that_somebody_made_meanwhile_is_not_overwritten(served: Served):
    label = machine(served, 2, "one")
    answer = post(served, "features/2/reviews", action="accept", reviewer="ada", label_id=label, expected_rev=0)
    assert (answer.status_code, answer.json()["error_class"]) == (409, "ConflictError")
    assert served.of_sae("reviews").json() == {"items": [], "next": None}


def test_steps_are_listed_newest_first_and_page_by_page(served: Served):
    for feature, by in ((0, "ada"), (1, "bob"), (2, "ada"), (3, "ada")):
        review(served, feature, "skip", by=by)
    undo(served)
    first = served.of_sae("reviews", reviewer="ada", limit=2).json()
    assert [(step["feature_index"], step["undone_at"] is None) for step in first["items"]] == [(3, False), (2, True)]
    second = served.of_sae("reviews", reviewer="ada", limit=2, after=first["next"]).json()
    assert ([step["feature_index"] for step in second["items"]], second["next"]) == ([0], None)
    assert len(served.of_sae("reviews").json()["items"]) == 4


def test_categories_in_use_complete_what_is_typed(served: Served):
    machine(served, 0, "one")
    review(served, 2, "write", semantic_label="courts", category_label="Topic > Law")
    assert served.of_sae("categories", prefix="to").json()["items"] == [
        {"path": ["Token"], "n": 1},
        {"path": ["Token", "Word"], "n": 1},
        {"path": ["Topic"], "n": 1},
        {"path": ["Topic", "Law"], "n": 1},
    ]
    assert len(served.of_sae("categories", limit=1).json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"action": "accept", "reviewer": "ada"}, "label_id"),
        ({"action": "reject", "reviewer": "ada"}, "label_id"),
        ({"action": "write", "reviewer": "ada"}, "semantic_label"),
        ({"action": "write", "reviewer": "ada", "semantic_label": " "}, "an empty label"),
        ({"action": "skip"}, "reviewer"),
        ({"action": "skip", "reviewer": " "}, "a review without a name"),
        ({"action": "skip", "reviewer": "ada", "label_id": 1}, "label_id"),
        ({"action": "praise", "reviewer": "ada"}, "praise"),
        ({"reviewer": "ada"}, "action"),
    ],
)
def test_a_step_that_is_none_is_refused_by_name(served: Served, body: Json, named: str):
    answer = post(served, "features/2/reviews", **body)
    assert answer.status_code == 422
    assert named in answer.json()["detail"]
    assert served.of_sae("reviews").json()["items"] == []


def test_what_is_not_there_is_not_found(served: Served):
    label = machine(served, 2, "one")
    for action in ("accept", "reject"):
        answer = post(served, "features/3/reviews", action=action, reviewer="ada", label_id=label)
        assert (answer.status_code, answer.json()["error_class"]) == (404, "NotFoundError")
        assert f"label {label} is not one of feature 3" in answer.json()["detail"]
        answer = post(served, "features/2/reviews", action=action, reviewer="ada", label_id=2**70)
        assert answer.status_code == 404
    assert post(served, "features/9/reviews", action="skip", reviewer="ada").status_code == 404
    assert served.get("saes/nobody/queue").status_code == 404
    assert served.of_sae("queue", q="nonsense:3").json()["position"] == [0, 8]
    assert served.of_sae("queue", order="chance").status_code == 422
    assert served.of_sae("queue", limit=501).status_code == 422
