import pytest
from tests.unit.api.conftest import Served

from featlas.store.labels import HumanLabel, add_human_label


def test_one_answer_holds_everything_of_a_feature(served: Served):
    found = served.of_sae("features/2").json()
    assert (found["feature_index"], found["flags"], found["duplicate_of"]) == (2, [], None)
    assert (found["n_fires"], found["n_tokens"], found["n_contexts_fired"], found["n_contexts"]) == (12, 13, 3, 4)
    assert (found["n_documents_fired"], found["n_documents"]) == (2, 3)
    assert (found["n_fires_excluded"], found["max_excluded"]) == (2, 9.0)
    assert found["intervals"] == {"activation_frequency": {"low": 0.002, "high": 0.02}, "mean_activation": None}
    assert found["histogram"] == {"edges": [1.0, 2.0, 4.0, 8.0], "counts": [8, 0, 4]}
    assert [token["token_id"] for token in found["top_tokens"]] == [2, 3, 8]
    assert found["top_tokens"][0]["p_fire_given_token"] == 7 / 102
    assert (found["sae"]["uid"], found["run"]["name"]) == (served.sae.uid, "small")
    assert found["cli"] == f"featlas feature {served.run.id} 2"


def test_shapes_add_the_two_splits_up(served: Served):
    found = served.of_sae("features/2").json()
    assert {octave["n_contexts"] for octave in found["peak_histogram"]} == {2}
    assert found["peak_histogram"][0]["low"] == 0.0
    assert (
        found["peak_histogram"][20]["high"]
        == found["peak_histogram"][21]["low"]
        == 2 * found["peak_histogram"][20]["low"]
    )
    # Feature 2 of the batch fires once in bucket 4 of the label split and once in bucket 5 of the score split.
    fired = [(bucket["first"], bucket["last"]) for bucket in found["position_profile"] if bucket["n_fires"]]
    assert fired == [(8, 15), (16, 31)]
    assert {bucket["n_tokens"] for bucket in found["position_profile"]} == {16}


def test_bands_come_strongest_first_with_bounds_and_counts(served: Served):
    bands = served.of_sae("features/2").json()["bands"]
    names = ["top", "octave:2", "octave:-1", "uniform", "near_miss", "non_firing"]
    assert [band["band"] for band in bands] == names
    assert [(band["low"], band["high"]) for band in bands[:3]] == [(None, None), (4.0, 8.0), (0.5, 1.0)]
    assert [(band["n_in_band"], band["n_published"]) for band in bands[:2]] == [(7, 2), (5, 1)]
    near_miss = bands[4]["items"][0]
    assert (near_miss["max_activation"], near_miss["split"]) == (None, "label")
    assert [mark["value"] for mark in near_miss["content"]["marks"]] == [None]


def test_top_examples_are_ordered_by_strength_across_the_splits(served: Served):
    top = served.of_sae("features/2").json()["bands"][0]["items"]
    assert [example["max_activation"] for example in top] == [-4.0, -3.0]
    assert [example["context"] for example in top] == [1, 0]
    assert [example["split"] for example in top] == ["score", "label"]


def test_more_examples_of_a_band_go_on_where_the_page_ended(served: Served):
    band = served.of_sae("features/2/examples", band="top", after=1).json()
    assert [example["place"] for example in band["items"]] == [1]
    assert band["n_published"] == 2
    assert served.of_sae("features/2/examples", band="top", after=5).json()["items"] == []


def test_an_unknown_band_names_those_there_are(served: Served):
    answer = served.of_sae("features/2/examples", band="octave:9")
    assert answer.status_code == 404
    assert "near_miss" in answer.json()["detail"]


def test_a_dead_feature_has_nulls_and_nothing_made_up(served: Served):
    found = served.of_sae("features/1").json()
    assert (found["flags"], found["n_fires"], found["mean_activation"]) == (["dead"], 0, None)
    assert (found["bands"], found["top_tokens"], found["histogram"]["counts"]) == ([], [], [])


@pytest.mark.parametrize("index", [4, 5, 99, -1, 2**70])
def test_outside_of_the_sae_there_is_no_feature(served: Served, index: int):
    """Features 4 and 5 are null features: controls, which nobody browses."""
    assert served.of_sae(f"features/{index}").status_code in (404, 422)


def test_labels_come_with_the_feature(served: Served):
    add_human_label(served.store, served.sae.id, 2, HumanLabel("first"))
    add_human_label(served.store, served.sae.id, 2, HumanLabel("second"), created_by="Ada")
    labels = served.of_sae("features/2").json()["labels"]
    assert [label["semantic_label"] for label in labels["items"]] == ["second", "first"]
    assert (labels["current"]["semantic_label"], labels["current"]["created_by"]) == ("second", "Ada")
    assert labels["rev"] > 0


def test_markdown_tells_the_numbers_with_denominators(served: Served):
    add_human_label(served.store, served.sae.id, 2, HumanLabel("a *bold* [label]"))
    text = served.of_sae("features/2").json()["markdown"]
    assert text.startswith(r"### Feature 2: a \*bold\* \[label\]")
    assert "fires on 12 of 13 tokens (92.308%)" in text
    assert "| ` court` | 7 | 6.9% | 58.3% |" in text
    assert "Strongest examples (2 of 7 contexts" in text
    assert "- -4: \\<s\\> **café**" in text


def test_a_document_without_its_files_says_what_is_missing(served: Served):
    answer = served.of_sae("documents/0", feature=2)
    assert (answer.status_code, answer.json()["error_class"]) == (404, "NotFoundError")


def test_an_unknown_document_is_not_found(served: Served):
    assert "no document 77" in served.of_sae("documents/77", feature=2).json()["detail"]
