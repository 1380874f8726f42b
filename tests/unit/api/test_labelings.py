"""Labeling by language models over HTTP: providers, what jobs gave, and the answers behind labels."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.builders.labeling_api import HOST, KEY, LabelingApi
from tests.builders.labelings import Labelings, make_response

from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.domain import FailureCause, LabelSource
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.session import Store
from featlas.testing.chat_scripts import Status

# Providers


def test_providers_are_listed_with_what_is_missing(api: LabelingApi):
    openai, anthropic, compatible = api.get("providers")["items"]
    assert openai == {
        "name": "openai",
        "base_url": api.chat.openai_url,
        "key_variable": "OPENAI_API_KEY",
        "has_key": True,
        "is_ready": True,
        "default_model": "gpt-4o-mini",
        "problem": None,
    }
    assert (anthropic["is_ready"], anthropic["has_key"]) == (False, False)
    assert "ANTHROPIC_API_KEY" in anthropic["problem"]
    assert (compatible["is_ready"], compatible["base_url"]) == (False, "")


def test_a_provider_is_tried(api: LabelingApi):
    found = api.post("providers/openai/test", {"model": "gpt-x"})
    assert (found["name"], found["model"], found["keeps_schema"]) == ("openai", "gpt-x", True)
    assert found["n_tokens_in"] > 0
    assert api.post("providers/openai/test", {})["model"] == "gpt-4o-mini"
    assert [request.key for request in api.chat.requests] == [KEY, KEY]


@pytest.mark.parametrize(
    ("name", "body", "code", "words"),
    [
        ("anthropic", {}, 422, "ANTHROPIC_API_KEY"),
        ("compatible", {}, 422, "FEATLAS_COMPATIBLE_BASE_URL"),
        ("google", {}, 422, "unknown provider 'google'"),
        ("openai", {"model": "x" * 201}, 422, "model"),
        ("openai", {"key": "x"}, 422, "key"),
        ("openai", [], 422, ""),
    ],
)
def test_a_try_that_cannot_be_made_is_refused(api: LabelingApi, name: str, body: object, code: int, words: str):
    assert words in api.post(f"providers/{name}/test", body, code)["detail"]
    assert api.chat.requests == ()


@pytest.mark.parametrize(("step", "code"), [(Status(401, message=f"bad key {KEY}"), 422), (Status(500), 502)])
def test_a_failed_try_is_told_without_the_key(api: LabelingApi, step: Status, code: int):
    api.chat.script = lambda _: step
    detail = api.post("providers/openai/test", {}, code)["detail"]
    assert "openai (127.0.0.1" in detail


def test_surroundings_without_providers_know_none(store: Store, tmp_path: Path):
    here = Surroundings(store, tmp_path, {}, wake=lambda _job: None, has_runner=False, version="9.9")
    with TestClient(create_app(here, ui=tmp_path), base_url=HOST) as client:
        assert client.get("/api/v1/providers").json() == {"items": []}
        assert client.post("/api/v1/providers/openai/test", json={}).status_code == 404


# What jobs gave


def test_a_labeling_with_its_counts(api: LabelingApi):
    job = api.job()
    api.write(job, api.said(2), api.said(3, lint=("markup",)), api.said(4, None), api.failed(5), api.failed(6))
    api.write(job, api.said(7, "the token", source=LabelSource.RULE, asked=None))
    api.write(api.job(), api.said(6))
    found = api.get(f"labelings/{job.id}")
    assert (found["job"]["id"], found["job"]["kind"]) == (job.id, "labeling")
    assert found["counts"] == {
        "n_labeled": 3,
        "n_abstained": 1,
        "n_failed": 2,
        "n_linted": 1,
        "n_by_cause": {"refused": 2},
        "n_left_failed": 1,
        "n_tokens_in": 300,
        "n_tokens_out": 30,
        "usd": 63e-6,
    }
    assert api.get(f"labelings/{api.job().id}")["counts"]["usd"] is None


def test_labels_of_a_job_in_pages(api: LabelingApi):
    job = api.job()
    api.write(job, api.said(2), api.failed(3, FailureCause.TIMEOUT), api.said(4, None), api.failed(5), api.said(6))

    def listed(**params: object) -> list[int]:
        return [item["feature_index"] for item in api.get(f"labelings/{job.id}/labels", **params)["items"]]

    assert listed() == [6, 5, 4, 3, 2]
    assert listed(status="labeled") == [6, 2]
    assert listed(cause="timeout") == [3]
    page = api.get(f"labelings/{job.id}/labels", limit=2)
    assert page["next"] == str(page["items"][-1]["id"])
    rest = api.get(f"labelings/{job.id}/labels", limit=3, after=page["next"])
    assert ([item["feature_index"] for item in rest["items"]], rest["next"]) == ([4, 3, 2], None)
    failed = api.get(f"labelings/{job.id}/labels", status="failed")["items"][0]
    assert (failed["failure_cause"], failed["explanation"], failed["has_answer"]) == ("refused", "I will not.", False)
    assert (failed["semantic_label"], failed["usd"], failed["is_current"]) == (None, None, False)


def test_two_jobs_side_by_side(api: LabelingApi):
    a, b = api.job(), api.job()
    api.write(a, api.said(2, "Courts"), api.said(3, "law"), api.said(4, None), api.said(5, "only here"))
    api.write(b, api.said(2, "courts"), api.said(3, "shoes"), api.said(4, None), api.said(6, "only there"))
    found = api.get("labelings/compare", a=a.id, b=b.id)
    assert {name: found[name] for name in ("n_both", "n_same", "n_only_a", "n_only_b", "next")} == {
        "n_both": 3,
        "n_same": 2,
        "n_only_a": 1,
        "n_only_b": 1,
        "next": None,
    }
    texts = [
        (item["feature_index"], *(item[side] and item[side]["semantic_label"] for side in "ab"))
        for item in found["items"]
    ]
    assert texts == [(3, "law", "shoes"), (5, "only here", None), (6, None, "only there")]
    page = api.get("labelings/compare", a=a.id, b=b.id, which="all", limit=2)
    assert ([item["feature_index"] for item in page["items"]], page["next"]) == ([2, 3], "3")
    rest = api.get("labelings/compare", a=a.id, b=b.id, which="all", limit=3, after=3)
    assert ([item["feature_index"] for item in rest["items"]], rest["next"]) == ([4, 5, 6], None)
    assert [item["feature_index"] for item in api.get("labelings/compare", a=a.id, b=b.id, which="same")["items"]] == [
        2,
        4,
    ]


def test_what_is_not_there_is_not_found(api: LabelingApi):
    job = api.job()
    extraction = jobs.enqueue(api.store, "extraction", ExtractSpec(model="m", sae="s", text=("a.txt",), tokens=9))
    for unknown in (4711, 2**62):
        for path in (f"labelings/{unknown}", f"labelings/{unknown}/labels", f"labels/{unknown}/answer"):
            api.get(path, 404)
        api.get("labelings/compare", 404, a=unknown, b=job.id)
    api.get(f"labelings/{2**70}", 404)
    api.get(f"labels/{2**70}/answer", 404)
    assert "is no labeling" in api.get(f"labelings/{extraction.id}", 404)["detail"]
    assert "is no labeling" in api.get("labelings/compare", 422, a=job.id, b=extraction.id)["detail"]
    for params in (
        {"a": job.id},
        {"a": 0, "b": 1},
        {"a": job.id, "b": 2**70},
        {"a": job.id, "b": job.id, "which": "x"},
    ):
        api.get("labelings/compare", 422, **params)
    for params in ({"limit": 0}, {"limit": 201}, {"status": "x"}, {"cause": "x"}, {"after": -1}):
        api.get(f"labelings/{job.id}/labels", 422, **params)


def test_jobs_of_different_saes_are_not_compared(api: LabelingApi, tmp_path: Path):
    other = Labelings(api.store, tmp_path / "other", mark="other")
    jobs_of = []
    for desk in (api, other):
        job = desk.job()
        desk.write(job, desk.said(3))
        jobs_of.append(job.id)
    assert "different SAEs" in api.get("labelings/compare", 422, a=jobs_of[0], b=jobs_of[1])["detail"]


# The answer behind a label


def test_the_exact_question_and_answer_behind_a_label(api: LabelingApi):
    said = api.said(3)
    assert said.asked is not None
    kept = make_response(said.evidence_hash, response={"text": "Sure! {…}", "model": "gpt-x-2026"})
    api.write(api.job(), said, responses=(kept,))
    label = api.labels(3)[0].id
    assert api.get(f"labels/{label}/answer") == {
        "label": label,
        "provider": "openai",
        "model": "m",
        "request": {"system": "Be short.", "user": f"question {said.evidence_hash}"},
        "text": "Sure! {…}",
        "answered_by": "gpt-x-2026",
        "n_tokens_in": 100,
        "n_tokens_out": 10,
        "usd": 21e-6,
        "seconds": 0.5,
    }


def test_a_label_without_a_kept_answer_says_so(api: LabelingApi):
    asked = api.said(2)
    api.write(api.job(), asked, api.failed(3), replace(api.said(4), source=LabelSource.RULE, asked=None))
    assert "it was cleared, or never came" in api.get(f"labels/{api.labels(2)[0].id}/answer", 404)["detail"]
    for feature in (3, 4):
        detail = api.get(f"labels/{api.labels(feature)[0].id}/answer", 404)["detail"]
        assert "was not read from a language model's answer" in detail
