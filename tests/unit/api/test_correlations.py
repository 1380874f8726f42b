from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.builders.correlating import correlation_context
from tests.builders.made_blocks import Text, make_dense, make_run_with_blocks
from tests.oracles.correlation import correlate_pair
from tests.unit.api.conftest import Served, make_served

from featlas.domain import Measure
from featlas.pipeline.correlate import run_correlation
from featlas.specs import CorrelateSpec
from featlas.store.labels import HumanLabel, add_human_label
from featlas.store.library import list_saes
from featlas.store.session import Store

TEXT = Text(n_slots=400, block_slots=128)
N_FEATURES = 8


@pytest.fixture(scope="module")
def dense() -> NDArray[np.float32]:
    return make_dense(TEXT.n_slots, N_FEATURES)


@pytest.fixture
def correlated(store: Store, tmp_path: Path, dense: NDArray) -> Iterator[Served]:
    """A run with blocks; correlations are not computed yet."""
    run = make_run_with_blocks(store, tmp_path, dense, TEXT)
    with store.read() as session:
        sae = list_saes(session)[0]
    woken: list[int] = []
    with make_served(store, tmp_path, tmp_path / "no-ui", woken) as client:
        yield Served(client, store, run, sae, woken)


def compute(served: Served, folder: Path, **options: object) -> None:
    spec = CorrelateSpec(run=str(served.run.id), **options)  # type: ignore[arg-type]
    run_correlation(spec, correlation_context(served.store, folder, None))


def test_partners_come_with_what_is_said_of_them(correlated: Served, tmp_path: Path, dense: NDArray):
    add_human_label(correlated.store, correlated.sae.id, 3, HumanLabel("the other twin", "Twins"))
    compute(correlated, tmp_path)
    answer = correlated.of_sae("features/2/partners")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["measure"], found["unit"], found["n_units"]) == ("pearson", "token", 350)
    assert (found["is_estimate"], found["share"], found["reason"]) == (False, 1.0, None)
    twin = found["items"][0]
    assert (twin["feature_index"], twin["label"]["semantic_label"], twin["flags"]) == (3, "the other twin", [])
    assert twin["value"] == pytest.approx(1, abs=1e-6)
    assert twin["low"] == pytest.approx(0.97, abs=0.03)
    assert twin["n_both"] == (dense[TEXT.is_counted, 2] > 0).sum()
    assert correlated.of_sae("features/3/partners").json()["near_duplicate_of"] == 2
    assert correlated.of_sae("features/4/partners", measure="jaccard").json()["measure"] == "jaccard"


def test_a_dead_feature_has_none_and_says_why(correlated: Served, tmp_path: Path):
    compute(correlated, tmp_path)
    found = correlated.of_sae("features/0/partners", measure="cosine").json()
    assert (found["reason"], found["items"], found["near_duplicate_of"]) == ("dead", [], None)


def test_what_was_not_computed_says_how_it_is(correlated: Served, tmp_path: Path):
    answer = correlated.of_sae("features/2/partners")
    assert answer.status_code == 404
    assert f"`featlas correlate {correlated.run.id} --unit token` does" in answer.json()["detail"]
    compute(correlated, tmp_path, unit="context")
    assert correlated.of_sae("features/2/partners").status_code == 404
    assert correlated.of_sae("features/2/partners", unit="context").json()["n_units"] == 50
    assert correlated.of_sae("features/99/partners", unit="context").status_code == 404
    assert correlated.of_sae("features/2/partners", measure="luck").status_code == 422


def test_the_matrix_of_chosen_features(correlated: Served, dense: NDArray):
    counted = dense[TEXT.is_counted]
    for measure in Measure:
        found = correlated.of_sae("correlation", features="5,0,2", measure=measure.value).json()
        assert (found["features"], found["n_units"], found["reasons"]) == ([5, 0, 2], 350, [None, "dead", None])
        expected = correlate_pair(measure, counted[:, 5], counted[:, 2])
        assert found["value"][0] == [1.0, None, pytest.approx(expected, abs=1e-9)]
        assert found["n_both"][0][2] == ((counted[:, 5] > 0) & (counted[:, 2] > 0)).sum()
        assert (found["among_both"] is not None) == (measure is Measure.SPEARMAN)


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        ("", "no features are named"),
        ("1,x", "expected indices separated by commas"),
        ("1,8", "there is no feature 8; expected indices from 0 to 7"),
        ("-1", "there is no feature -1"),
        ("3,4,3", "feature 3 is named twice"),
        (",".join(map(str, range(51))), "expected at most 50"),
    ],
)
def test_wrong_features_are_refused_by_name(correlated: Served, features: str, complaint: str):
    answer = correlated.of_sae("correlation", features=features)
    assert answer.status_code == 422
    assert complaint in answer.json()["detail"]


def test_features_with_too_many_events_are_for_the_command(correlated: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("featlas.api.routes.correlations.MOST_EVENTS", 10)
    answer = correlated.of_sae("correlation", features="2,3")
    assert answer.status_code == 422
    assert "`featlas correlate" in answer.json()["detail"]


def test_a_correlation_job_is_queued_once(correlated: Served):
    new = {"kind": "correlation", "spec": {"run": str(correlated.run.id)}}
    job = correlated.client.post("/api/v1/jobs", json=new).json()
    assert (job["kind"], job["state"], job["spec"]["run"]) == ("correlation", "queued", correlated.run.uid)
    assert correlated.woken == [job["id"]]
    again = {"kind": "correlation", "spec": {"run": correlated.run.name}}
    assert correlated.client.post("/api/v1/jobs", json=again).status_code == 409
    unknown = {"kind": "correlation", "spec": {"run": "nobody"}}
    assert correlated.client.post("/api/v1/jobs", json=unknown).status_code == 404
