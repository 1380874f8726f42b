import pytest
from tests.unit.api.conftest import Served


def add(served: Served, text: str, **more: object):
    path = f"/api/v1/saes/{served.sae.uid}/features/2/labels"
    return served.client.post(path, json={"semantic_label": text, **more})


def review(served: Served, label: int, verb: str, **more: object):
    return served.client.post(f"/api/v1/labels/{label}/{verb}", json=more)


def test_a_label_by_a_person_is_in_force_at_once(served: Served):
    answer = add(served, "court words", category_label="Topic > Law", created_by="Ada")
    assert answer.status_code == 201
    current = answer.json()["current"]
    assert (current["semantic_label"], current["category_label"]) == ("court words", "Topic > Law")
    assert (current["source"], current["created_by"], current["is_current"]) == ("human", "Ada", True)
    assert current["evidence_run"] == served.run.id
    assert served.of_sae("features/2/labels").json() == answer.json()


def test_a_rejected_label_gives_way_to_the_one_before_and_nothing_is_lost(served: Served):
    add(served, "first")
    second = add(served, "second").json()["current"]
    found = review(served, second["id"], "reject", reason="too narrow", reviewed_by="Bo").json()
    assert found["current"]["semantic_label"] == "first"
    rejected = found["items"][0]
    assert (rejected["review_state"], rejected["reject_reason"]) == ("rejected", "too narrow")


def test_an_older_label_comes_back_as_a_new_entry(served: Served):
    first = add(served, "first").json()["current"]
    add(served, "second")
    found = review(served, first["id"], "restore").json()
    assert found["current"]["semantic_label"] == "first"
    assert [label["semantic_label"] for label in found["items"]] == ["first", "second", "first"]


def test_a_change_that_somebody_made_meanwhile_is_not_overwritten(served: Served):
    seen = add(served, "first").json()["rev"]
    add(served, "second")
    answer = add(served, "third", expected_rev=seen)
    assert (answer.status_code, answer.json()["error_class"]) == (409, "ConflictError")
    assert served.of_sae("features/2/labels").json()["current"]["semantic_label"] == "second"


def test_a_favourite_is_marked_and_unmarked_and_keeps_its_labels(served: Served):
    add(served, "first")
    path = f"/api/v1/saes/{served.sae.uid}/features/2/favorite"
    marked = served.client.post(path, json={}).json()
    assert (marked["is_favorite"], marked["current"]["semantic_label"]) == (True, "first")
    assert [row["feature_index"] for row in served.of_sae("features", q="is:favorite").json()["items"]] == [2]
    answer = served.client.post(path, json={"is_favorite": False, "expected_rev": marked["rev"]})
    assert answer.json()["is_favorite"] is False
    late = served.client.post(path, json={"expected_rev": marked["rev"]})
    assert (late.status_code, late.json()["error_class"]) == (409, "ConflictError")


@pytest.mark.parametrize(
    "body", [{"semantic_label": ""}, {"semantic_label": "  "}, {"semantic_label": "x" * 600}, {}, {"nonsense": 1}]
)
def test_what_cannot_be_a_label_is_refused(served: Served, body: dict):
    answer = served.client.post(f"/api/v1/saes/{served.sae.uid}/features/2/labels", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert served.of_sae("features/2/labels").json()["items"] == []


def test_a_feature_or_label_that_is_not_there_is_not_found(served: Served):
    path = f"/api/v1/saes/{served.sae.uid}/features/9/labels"
    assert served.client.post(path, json={"semantic_label": "x"}).status_code == 404
    assert review(served, 12345, "accept").status_code == 404
