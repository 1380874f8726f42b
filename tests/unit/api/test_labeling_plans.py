"""What a labeling would ask and take, told over HTTP before anybody is asked."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.builders.asked_runs import DEAD
from tests.builders.labeling_api import LabelingApi
from tests.builders.labelings import make_response
from tests.builders.stored_runs import make_run, register_inputs

from featlas.domain import EvidenceOptions
from featlas.store.artifacts import artifact_name
from featlas.store.labels import HumanLabel, add_human_label
from featlas.store.responses import save_responses_alone

WORDING = {"system": "Be short.", "user": "{model}: {examples}\n{answer_format}"}


# Plans


def test_a_plan_says_what_a_labeling_would_take(api: LabelingApi):
    found = api.plan(budget=2.5)
    assert (found["run"], found["template"], found["template_version"]) == (api.run.id, "general", 1)
    assert (found["model"], found["n_features"]) == ("gpt-4o-mini", 9)
    assert found["n_skipped"] == {"human": 0, "flagged": 1, "labeled": 0}
    assert sorted(found["sample"]) == [at for at in range(10) if at != DEAD]
    assert (found["usd_per_million_in"], found["usd_per_million_out"]) == (0.15, 0.6)
    expected = (0.15 * found["n_tokens_in"] + 0.6 * found["n_tokens_out"]) / 1e6
    assert found["usd"] == pytest.approx(expected, abs=1e-6)
    assert (found["is_measured"], found["seconds"]) == (False, None)
    assert found["n_tokens_in"] > 9 * 500
    assert api.chat.requests == ()
    assert api.get("jobs")["items"] == []


def test_a_plan_follows_the_query_the_dry_run_and_earlier_answers(api: LabelingApi):
    assert api.plan(query="n_fires:13..16 sort:n_fires")["sample"] == [3, 4, 5, 6]
    assert api.plan(query="sort:n_fires", dry_run=2)["sample"] == [0, 2]
    assert api.plan(query="n_fires:1000..")["n_tokens_in"] == 0
    prompt = api.preview(3)
    request = {"system": prompt["system"], "user": prompt["user"]}
    kept = make_response("a", model="gpt-4o-mini", request=request, n_tokens_in=2 * prompt["n_tokens_in"], wall_s=3.0)
    save_responses_alone(api.store, [kept, make_response("b", model="gpt-4o-mini", n_tokens_in=None)])
    before, after = api.plan(model="other"), api.plan(concurrency=1)
    assert after["is_measured"] is True
    assert after["n_tokens_in"] == pytest.approx(2 * before["n_tokens_in"], rel=0.01)
    assert (after["n_tokens_out"], after["seconds"]) == (90, 27.0)


def test_what_a_plan_leaves_out(api: LabelingApi):
    add_human_label(api.store, api.run.sae_id, 3, HumanLabel("mine"))
    job = api.job()
    api.write(job, api.said(4), api.failed(5), api.failed(6))
    assert api.plan()["n_skipped"] == {"human": 1, "flagged": 1, "labeled": 1}
    assert api.plan(relabel=True)["n_skipped"] == {"human": 1, "flagged": 1}
    assert sorted(api.plan(retry_of=job.id)["sample"]) == [5, 6]


def test_a_plan_without_a_price_has_no_cost(api: LabelingApi):
    found = api.plan(model="unheard-of")
    assert (found["usd"], found["usd_per_million_in"], found["usd_per_million_out"]) == (None, None, None)
    assert api.plan(model="unheard-of", price_in=1, price_out=2)["usd_per_million_out"] == 2


REFUSED = [
    ({"run": "nowhere"}, 404, "no run has"),
    ({"run": "pending"}, 409, "pending"),
    ({"template": "nothing"}, 404, "nothing"),
    ({"template": "general@two"}, 422, "expected a number after @"),
    ({"model": "unheard-of", "budget": 1}, 422, "no price is known of 'unheard-of'"),
    ({"provider": "lexical"}, 422, "the offline labeler asks nobody"),
    ({"provider": "google"}, 422, "provider"),
    ({"provider": "compatible"}, 422, "--model"),
    ({"budget": -1}, 422, "budget"),
    ({"budget": float("nan")}, 422, "budget"),
    ({"concurrency": 0, "nonsense": 1}, 422, "nonsense"),
    ({"price_in": 1}, 422, "belong together"),
    ({"retry_of": 4711}, 422, "--retry-of 4711"),
    ({"retry_of": 2**70}, 422, "retry_of"),
    ({"run": 7}, 422, "run"),
    ({"model": "\ud800"}, 422, "model: value error, it holds a character that no text can hold"),
    ({"query": "\0"}, 422, "query: "),
    ({"run": "\0"}, 422, "run: "),
    ({"template": "a\udfff"}, 422, "template: "),
    ({"\ud800": 1}, 422, "spec: "),
]


@pytest.mark.parametrize(("spec", "code", "words"), [*REFUSED, ({"query": "nonsense:3"}, 422, "nonsense")])
def test_a_plan_that_cannot_be_made_is_refused(api: LabelingApi, spec: dict[str, Any], code: int, words: str):
    make_run(api.store, register_inputs(api.store, mark="x"), name="pending")
    answer = api.plan(code, **spec)
    assert words in answer["detail"]
    assert answer.get("position") is None  # which would be a place in the address


@pytest.mark.parametrize(("spec", "code", "words"), REFUSED)
def test_a_prompt_that_cannot_be_made_is_refused(api: LabelingApi, spec: dict[str, Any], code: int, words: str):
    make_run(api.store, register_inputs(api.store, mark="x"), name="pending")
    assert words in api.preview(3, code, **spec)["detail"]


def test_without_its_files_a_run_cannot_be_asked_about(api: LabelingApi, tmp_path: Path):
    shutil.rmtree(tmp_path / artifact_name(api.run.spec_hash, api.run.job_id))
    assert "extract the run again" in api.plan(409)["detail"]


# Prompts


def test_the_exact_prompt_of_a_feature(api: LabelingApi):
    found = api.preview(3, max_output_tokens=77, temperature=0.5)
    assert found["feature_index"] == 3
    request = found["request"]
    assert (request["model"], request["max_output_tokens"], request["temperature"]) == ("gpt-4o-mini", 77, 0.5)
    assert (request["system"], request["user"]) == (found["system"], found["user"])
    assert request["schema"]["required"] == ["semantic_label", "category_label", "explanation", "confidence"]
    assert found["user"].count("⟪ court⟫10") == 1
    assert found["shown"] == {
        "n_fires": 9,
        "top": [0, 8, 1],
        "spread": [9, 2, 3],
        "near_misses": [10],
        "non_firing": [11],
    }
    assert 500 < found["n_tokens_in"] < 3000
    assert found["usd"] == pytest.approx((0.15 * found["n_tokens_in"] + 0.6 * 90) / 1e6, abs=1e-6)
    assert api.preview(3, max_output_tokens=77, temperature=0.5) == found
    assert api.preview(3, answer_format="text")["request"]["schema"] is None
    assert api.chat.requests == ()


def test_a_prompt_in_a_wording_that_is_not_saved(api: LabelingApi):
    found = api.preview(3, wording={**WORDING, "evidence": {"n_top": 1, "n_spread": 0}})
    assert found["system"] == "Be short."
    assert found["user"].startswith('tiny: 1. "the⟪ court⟫10')
    assert found["shown"] == {"n_fires": 9, "top": [0], "spread": [], "near_misses": [], "non_firing": []}
    # Then the template that is asked for does not matter.
    assert api.preview(3, wording={**WORDING, "evidence": {"n_top": 1, "n_spread": 0}}, template="none") == found


@pytest.mark.parametrize(
    ("wording", "words"),
    [
        ({**WORDING, "user": "{examples}"}, "{answer_format}"),
        ({**WORDING, "user": "{exampels} {answer_format}"}, "did you mean {examples}"),
        ({**WORDING, "evidence": {"n_logits": 99}}, "n_logits 99"),
        ({**WORDING, "evidence": {"window": 0}}, "window 0"),
        ({**WORDING, "evidence": {"n_tops": 1}}, "evidence has no 'n_tops'"),
        ({**WORDING, "evidence": {"n_top": 1.5}}, "n_top"),
        ({**WORDING, "user": "x" * 20_001}, "20,001 characters"),
        ({"system": ""}, "user"),
        ({**WORDING, "name": "x"}, "name"),
    ],
)
def test_a_wording_that_cannot_be_used_is_refused(api: LabelingApi, wording: object, words: str):
    assert words in api.preview(3, 422, wording=wording)["detail"]


@pytest.mark.parametrize("feature", [-1, 10, 2**70])
def test_a_feature_that_is_not_there_is_not_found(api: LabelingApi, feature: int):
    answer = api.preview(feature, 404)
    assert f"no feature {feature}; its features are 0 … 9" in answer["detail"]


def test_a_prompt_of_a_feature_that_never_fires(api: LabelingApi):
    assert "(it never fires here)" in api.preview(DEAD)["user"]


def test_every_number_of_evidence_can_be_asked_for(api: LabelingApi):
    evidence = {name: getattr(EvidenceOptions(), name) for name in EvidenceOptions.__dataclass_fields__}
    assert api.preview(3, wording={**WORDING, "evidence": evidence})["shown"]["top"] == [0, 8, 1]
