"""A feature's tokens and neighbours, and the map, as the API answers them; and the job that computes them."""

import json

import numpy as np
import pytest
from tests.builders.stored_directions import N_FEATURES, WITHOUT, begin_directions, publish_directions
from tests.unit.api.conftest import Served

from featlas.domain import DirectionKind
from featlas.store.job_views import fetch_job
from featlas.store.labels import HumanLabel, add_human_label

PLACES = ("features/0/logits", "features/0/neighbours", "map")


@pytest.mark.parametrize("place", PLACES)
def test_before_they_are_computed_the_answer_says_how_to_have_them(served: Served, place: str) -> None:
    begin_directions(served.store, served.run)
    answer = served.of_sae(place)
    assert 404 == answer.status_code
    assert f"`featlas directions {served.run.id}` does it" in answer.json()["detail"]


def test_tokens(served: Served) -> None:
    publish_directions(served.store, served.run)
    found = served.of_sae("features/3/logits").json()
    assert {"token_id": 2, "token": " court", "effect": 4.0} == found["promoted"][0]
    assert [2, 7] == [token["token_id"] for token in found["promoted"]]
    assert [-3.0, -2.5] == [token["effect"] for token in found["suppressed"]]
    assert (3, None) == (found["feature_index"], found["reason"])
    assert {
        "feature_index": WITHOUT,
        "reason": "the feature's direction is zero",
        "promoted": None,
        "suppressed": None,
    } == served.of_sae(f"features/{WITHOUT}/logits").json()
    for index in (-1, N_FEATURES):
        assert 404 == served.of_sae(f"features/{index}/logits").status_code


def test_tokens_that_cannot_be_are_told_from_those_that_are_not_there_yet(served: Served) -> None:
    begin_directions(served.store, served.run).publish({"logits": "it writes elsewhere", "map": "all the same"}, {})
    found = served.of_sae("features/0/logits").json()
    assert ("it writes elsewhere", None) == (found["reason"], found["promoted"])
    assert "all the same" in served.of_sae("map").json()["detail"]


def test_neighbours_come_with_what_is_known_of_them(served: Served) -> None:
    publish_directions(served.store, served.run)
    add_human_label(served.store, served.run.sae_id, 2, HumanLabel("courts", "Law > Courts"))
    found = served.of_sae("features/0/neighbours").json()
    assert ("decoder", None) == (found["kind"], found["reason"])
    first, second = found["items"]
    assert (2, True, []) == (first["feature_index"], first["is_near_duplicate"], first["flags"])
    assert pytest.approx(0.995, abs=1e-6) == first["cosine"]
    assert ("courts", "Law > Courts") == (first["label"]["semantic_label"], first["label"]["category_label"])
    assert (3, False, None) == (second["feature_index"], second["is_near_duplicate"], second["label"])
    other = served.of_sae("features/0/neighbours", kind="encoder").json()
    assert ("encoder", 0.5) == (other["kind"], other["items"][0]["cosine"])
    silent = served.of_sae(f"features/{WITHOUT}/neighbours").json()
    assert ("the feature's direction is zero", None) == (silent["reason"], silent["items"])
    assert 422 == served.of_sae("features/0/neighbours", kind="sideways").status_code
    assert [str(kind) for kind in DirectionKind] == ["decoder", "encoder"]


def test_the_map_is_a_block_that_is_kept(served: Served) -> None:
    publish_directions(served.store, served.run)
    answer = served.of_sae("map")
    n = int.from_bytes(answer.content[:4], "little")
    header = json.loads(answer.content[4 : 4 + n])
    arrays = answer.content[-(-(4 + n) // 8) * 8 :]
    assert ("pca", [0.5, 0.25], N_FEATURES) == (header["method"], header["explained_variance"], header["n_features"])
    assert ["x", "y"] == [column["name"] for column in header["columns"]]
    x = np.frombuffer(arrays, "<f4", N_FEATURES, header["columns"][0]["offset"])
    np.testing.assert_array_equal([0, np.nan, 2, 3], x)
    tag = {"If-None-Match": answer.headers["etag"]}
    address = f"/api/v1/saes/{served.sae.uid}/map"
    assert 304 == served.client.get(address, headers=tag).status_code
    publish_directions(served.store, served.run)
    assert 200 == served.client.get(address, headers=tag).status_code
    assert "no umap map" in served.of_sae("map", method="umap").json()["detail"]


def test_the_job_is_started_as_others_are(served: Served) -> None:
    body = {"kind": "directions", "spec": {"run": str(served.run.id), "n_tokens": 5}}
    started = served.client.post("/api/v1/jobs", json=body)
    assert (201, "directions") == (started.status_code, started.json()["kind"])
    assert [started.json()["id"]] == served.woken
    assert {"run": str(served.run.id), "n_tokens": 5, "n_neighbours": 20, "map": "pca"} == dict(
        fetch_job(served.store, started.json()["id"]).spec
    )
    assert 409 == served.client.post("/api/v1/jobs", json=body).status_code
    refused = served.client.post("/api/v1/jobs", json={"kind": "directions", "spec": {"run": "1", "n_tokens": 0}})
    assert (422, True) == (refused.status_code, "n_tokens" in refused.json()["detail"])
