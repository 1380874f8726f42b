from dataclasses import asdict
from typing import Any

import pytest
from tests.unit.api.conftest import Served

from featlas.api.template_schemas import NewEvidence, PromptEvidence
from featlas.domain import EvidenceOptions
from featlas.explain.templates import VARIABLES
from featlas.pipeline.shipped_templates import add_shipped_templates

WORDING = {"system_text": "Explain.", "user_text": "{tokens} {answer_format}", "evidence": {"n_tokens": 3}}
OTHER = {**WORDING, "user_text": "{examples} {answer_format}"}


@pytest.fixture
def templates(served: Served) -> Served:
    """A served store with the templates that come with Featlas."""
    add_shipped_templates(served.store)
    return served


def post(served: Served, path: str, body: Any = None, **params: object):
    return served.client.post(f"/api/v1/templates{path}", json={} if body is None else body, params=params)


def add(served: Served, name: str = "mine", **more: object) -> dict[str, Any]:
    answer = post(served, "", {"name": name, "wording": WORDING, **more})
    assert answer.status_code == 201, answer.json()
    return answer.json()


def edit(served: Served, ref: object, **changes: object):
    return served.client.patch(f"/api/v1/templates/{ref}", json=changes)


def names(served: Served, **params: object) -> list[str]:
    return [template["name"] for template in served.get("templates", **params).json()["items"]]


def test_shipped_templates_are_listed_with_the_default_first(templates: Served):
    assert names(templates) == ["general", "contrastive", "original", "rare"]
    general = templates.get("templates/general").json()
    assert (general["is_default"], general["is_shipped"], general["version"]) == (True, True, 1)
    assert "{answer_format}" in general["wording"]["user_text"]


def test_a_template_is_added_and_found_by_every_reference(templates: Served):
    added = add(templates, "mine", description="why")
    assert (added["name"], added["description"], added["version"], added["usage_count"]) == ("mine", "why", 1, 0)
    assert added["wording"] == {**WORDING, "evidence": {**asdict(EvidenceOptions()), "n_tokens": 3}}
    for ref in (added["id"], added["uid"], "mine"):
        assert templates.get(f"templates/{ref}").json() == added


def test_another_wording_is_a_new_version_and_the_old_one_can_be_read(templates: Served):
    first = add(templates)
    second = edit(templates, "mine", wording=OTHER, expected_version=1).json()
    assert (second["version"], second["n_versions"], second["wording"]["user_text"]) == (2, 2, OTHER["user_text"])
    old = templates.get("templates/mine", version=1).json()
    assert (old["wording"], old["version_id"], old["n_versions"]) == (first["wording"], first["version_id"], 2)
    history = templates.get("templates/mine/versions").json()["items"]
    assert [(entry["version"], entry["is_stale"], entry["n_labels"]) for entry in history] == [
        (2, False, 0),
        (1, True, 0),
    ]
    assert [entry["content_hash"] for entry in history] == [second["content_hash"], first["content_hash"]]


def test_what_is_null_stays(templates: Served):
    first = add(templates, description="why")
    second = edit(templates, "mine", name="yours").json()
    assert (second["name"], second["description"], second["version"]) == ("yours", "why", 1)
    assert second["wording"] == first["wording"]


def test_a_change_that_somebody_made_meanwhile_is_not_overwritten(templates: Served):
    add(templates)
    edit(templates, "mine", wording=OTHER, expected_version=1)
    answer = edit(templates, "mine", wording=WORDING, expected_version=1)
    assert (answer.status_code, answer.json()["error_class"]) == (409, "ConflictError")
    assert templates.get("templates/mine").json()["version"] == 2


@pytest.mark.parametrize(
    "wording",
    [
        {**WORDING, "user_text": "{tokns} {answer_format} {tokens}"},
        {**WORDING, "user_text": "{tokens.__class__} {tokens} {answer_format}"},
        {**WORDING, "user_text": "{tokens}"},
        {**WORDING, "user_text": ""},
        {**WORDING, "system_text": "\0"},
        {**WORDING, "evidence": {"n_tokens": 0}},
        {**WORDING, "evidence": {"n_tokens": 51}},
        {**WORDING, "evidence": {"n_tokens": "many"}},
        {**WORDING, "evidence": {"all": 1}},
        {**WORDING, "secret": "x"},
        {"system_text": "x"},
    ],
)
def test_a_wording_in_which_anything_is_wrong_is_saved_nowhere(templates: Served, wording: dict[str, Any]):
    add(templates)
    for answer in (
        post(templates, "", {"name": "new", "wording": wording}),
        edit(templates, "mine", name="renamed", wording=wording),
    ):
        assert (answer.status_code, answer.json()["error_class"]) == (422, "InputError")
    assert names(templates) == ["general", "contrastive", "mine", "original", "rare"]


@pytest.mark.parametrize("name", ["", " ", "12", "x" * 256, "a\nb"])
def test_a_bad_name_is_refused(templates: Served, name: str):
    assert post(templates, "", {"name": name, "wording": WORDING}).status_code == 422


def test_a_check_lists_every_problem_and_saves_nothing(templates: Served):
    found = post(templates, "/validate", {"user_text": "{tokns}", "evidence": {"window": 3}})
    assert found.status_code == 200
    problems = found.json()["problems"]
    assert len(problems) == 4
    assert problems[0] == "user text, line 1: there is no variable {tokns}; did you mean {tokens}?"
    assert problems[-1] == "window 3: expected 8 … 128"
    good = post(templates, "/validate", WORDING).json()
    assert good == {"problems": [], "variables": ["tokens", "answer_format"]}
    assert len(names(templates)) == 4


def test_the_variables_and_numbers_that_a_template_may_hold_are_told(templates: Served):
    told = templates.get("templates/variables").json()
    assert {item["name"]: item["meaning"] for item in told["variables"]} == dict(VARIABLES)
    assert [item["name"] for item in told["variables"] if not item["is_evidence"]] == [
        "statistics",
        "answer_format",
        "model",
        "hook_point",
    ]
    assert {item["name"]: item["default"] for item in told["evidence"]} == asdict(EvidenceOptions())
    window = next(item for item in told["evidence"] if item["name"] == "window")
    assert (window["low"], window["high"], told["max_characters"]) == (8, 128, 20_000)


def test_the_apis_numbers_of_evidence_are_those_of_the_domain():
    assert NewEvidence().model_dump() == asdict(EvidenceOptions())
    assert PromptEvidence.model_fields.keys() == NewEvidence.model_fields.keys()


def test_a_clone_a_favourite_and_another_default(templates: Served):
    clone = post(templates, "/general/clone", {"name": "mine"})
    assert clone.status_code == 201
    assert clone.json()["wording"] == templates.get("templates/general").json()["wording"]
    assert post(templates, "/mine/favorite", {}).json()["is_favorite"] is True
    assert names(templates, favorites_only=True) == ["mine"]
    assert post(templates, "/mine/favorite", {"is_favorite": False}).json()["is_favorite"] is False
    assert post(templates, "/mine/default").json()["is_default"] is True
    assert templates.get("templates/general").json()["is_default"] is False
    assert post(templates, "/general/clone", {"name": "mine"}).status_code == 409


def test_an_older_version_is_cloned(templates: Served):
    add(templates)
    edit(templates, "mine", wording=OTHER)
    clone = post(templates, "/mine/clone", {"name": "old", "version": 1}).json()
    assert (clone["wording"]["user_text"], clone["version"]) == (WORDING["user_text"], 1)


def test_a_template_is_deleted_unless_it_is_needed(templates: Served):
    add(templates)
    assert templates.client.delete("/api/v1/templates/mine").status_code == 204
    assert templates.get("templates/mine").status_code == 404
    for name in ("general", "rare"):
        assert templates.client.delete(f"/api/v1/templates/{name}").status_code == 409
    assert templates.client.delete("/api/v1/templates/nobody").status_code == 404


def test_what_is_exported_is_imported_as_a_whole(templates: Served):
    add(templates, "mine", description="why")
    answer = templates.get("templates/export", template=["mine", "rare", "mine"])
    assert answer.headers["content-disposition"] == 'attachment; filename="featlas-templates.json"'
    file = answer.json()
    assert (file["featlas_prompt_templates"], [one["name"] for one in file["templates"]]) == (1, ["mine", "rare"])
    again = post(templates, "/import", file)
    assert (again.status_code, "'mine', 'rare'" in again.json()["detail"]) == (409, True)
    file["templates"][0]["user"] = OTHER["user_text"]
    updated = post(templates, "/import", file, update=True).json()["items"]
    assert [(one["name"], one["version"]) for one in updated] == [("mine", 2), ("rare", 1)]
    file["templates"][0]["name"] = "new"
    file["templates"][1] = {"name": "bad", "user": "{x_y}"}
    refused = post(templates, "/import", file)
    assert (refused.status_code, "template 'bad'" in refused.json()["detail"]) == (422, True)
    assert "new" not in names(templates)
    everything = templates.get("templates/export").json()["templates"]
    assert len(everything) == 5


@pytest.mark.parametrize("body", [None, [], "x", 3, {"templates": []}, {"featlas_prompt_templates": 9}])
def test_what_is_no_file_of_templates_is_refused(templates: Served, body: Any):
    answer = templates.client.post("/api/v1/templates/import", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("ref", "params", "status"),
    [("nobody", {}, 404), ("mine", {"version": 9}, 404), ("mine", {"version": "x"}, 422), ("a%00b", {}, 404)],
)
def test_what_is_not_there_is_not_found(templates: Served, ref: str, params: dict[str, object], status: int):
    add(templates)
    assert templates.get(f"templates/{ref}", **params).status_code == status
