"""A whole run over an SAE whose every answer is known, through the command line."""

from itertools import pairwise
from typing import Any

import pytest
from tests.e2e.conftest import PlantedRun
from tests.oracles.planted_counts import Expected

from featlas.testing import planted_sae
from featlas.testing.planted_sae import BOS_ONLY, DEAD, DENSE, ONE_TOKEN, OTHER_TWIN, ROLE, SINK_ONLY, TWIN

Json = dict[str, Any]


@pytest.fixture(scope="module")
def expected(planted_run: PlantedRun) -> Expected:
    return planted_run.expected()


@pytest.fixture(scope="module")
def features(planted_run: PlantedRun) -> list[Json]:
    listed = planted_run.featlas.json("features", planted_run.run)
    return sorted(listed, key=lambda feature: feature["feature_index"])


@pytest.fixture(scope="module")
def the_feature(planted_run: PlantedRun) -> Json:
    return planted_run.featlas.json("feature", planted_run.run, ONE_TOKEN)[0]


def test_the_header_counts_every_position_once(planted_run: PlantedRun, expected: Expected) -> None:
    printed = planted_run.printed
    assert expected.n_tokens == printed["n_tokens"]
    assert expected.n_contexts == printed["n_contexts"]
    assert expected.n_excluded == printed["n_excluded"]
    assert expected.n_tokens + sum(expected.n_excluded.values()) == printed["n_positions"]
    assert sum(bool(tokens) for tokens in planted_run.tokens()) == printed["n_documents"]


def test_the_header_knows_its_features(planted_run: PlantedRun, expected: Expected) -> None:
    counts = [len(found.values) for found in expected.features]
    is_silent = [n == 0 for n in counts]
    n_sink_only = sum(
        silent and found.n_excluded > 0 for silent, found in zip(is_silent, expected.features, strict=True)
    )
    quality = planted_run.printed["quality"]
    assert 2 == n_sink_only == quality["n_sink_only"]
    assert sum(is_silent) - n_sink_only == quality["n_dead"]
    assert len(counts) - sum(is_silent) == quality["n_alive"]
    assert sum(n > 0.1 * expected.n_tokens for n in counts) == quality["n_dense"]
    assert pytest.approx(sum(counts) / expected.n_tokens, rel=1e-12) == quality["l0"]


def test_an_exact_reconstruction_leaves_nothing_unexplained(planted_run: PlantedRun) -> None:
    quality = planted_run.printed["quality"]
    assert (0.0, 0.0) == (quality["fvu"], quality["fvu_with_sinks"])
    assert planted_run.printed["n_tokens"] == quality["n_measured"]


def test_every_feature_has_its_known_counts(features: list[Json], expected: Expected) -> None:
    assert list(range(len(expected.features))) == [feature["feature_index"] for feature in features]
    for feature, known in zip(features, expected.features, strict=True):
        assert len(known.values) == feature["n_fires"]
        assert expected.n_tokens == feature["n_tokens"]
        assert len(known.contexts) == feature["n_contexts_fired"]
        assert known.n_excluded == feature["n_fires_excluded"]
        assert len(known.values) / expected.n_tokens == feature["activation_frequency"]
        assert len(known.contexts) / expected.n_contexts == feature["context_frequency"]
        assert max(known.values, default=None) == feature["max_activation"]
        assert (None if known.mean is None else pytest.approx(known.mean, rel=1e-12)) == feature["mean_activation"]
        assert (None if known.std is None else pytest.approx(known.std, abs=1e-6)) == feature["std_activation"]
        assert sum(feature["histogram"]["counts"]) == len(known.values)


def test_the_histogram_puts_each_value_into_its_bin(features: list[Json], expected: Expected) -> None:
    for feature, known in zip(features, expected.features, strict=True):
        edges = feature["histogram"]["edges"]
        bins = pairwise(edges)
        counted = [sum(low <= value < high for value in known.values) for low, high in bins]
        assert counted == feature["histogram"]["counts"]


def test_top_tokens_are_exact(features: list[Json], expected: Expected) -> None:
    for feature, known in zip(features, expected.features, strict=True):
        assert len(feature["top_tokens"]) >= min(50, len(known.tokens))
        for token in feature["top_tokens"]:
            values = known.token_values[token["token_id"]]
            assert len(values) == token["n_fires"]
            assert expected.occurrences[token["token_id"]] == token["n_occurrences"]
            assert len(values) / expected.occurrences[token["token_id"]] == token["p_fire_given_token"]
            assert len(values) / len(known.values) == token["p_token_given_fire"]
            assert pytest.approx(sum(values) / len(values), rel=1e-12) == token["mean_activation"]
            assert max(values) == token["max_activation"]
    for feature, known in zip(features, expected.features, strict=True):
        if len(known.tokens) <= 50:
            assert known.tokens == {token["token_id"]: token["n_fires"] for token in feature["top_tokens"]}


def test_feature_7_fires_on_exactly_one_token(planted_run: PlantedRun, the_feature: Json, expected: Expected) -> None:
    token_id = planted_run.planted.ids[planted_sae.TOKEN]
    (token,) = the_feature["top_tokens"]
    assert (token_id, " the", 1.0, 1.0) == tuple(
        token[name] for name in ("token_id", "token", "p_fire_given_token", "p_token_given_fire")
    )
    assert expected.occurrences[token_id] == the_feature["n_fires"] > 100


def test_feature_8_is_dead(features: list[Json]) -> None:
    dead = features[DEAD]
    assert (True, False, 0, 0) == tuple(dead[n] for n in ("is_dead", "is_sink_only", "n_fires", "n_fires_excluded"))
    assert (None, None, None) == tuple(dead[f"{name}_activation"] for name in ("mean", "std", "max"))
    assert {"edges": [], "counts": []} == dead["histogram"]
    assert [] == dead["top_tokens"]


def test_feature_9_is_dense(features: list[Json], expected: Expected) -> None:
    dense = features[DENSE]
    assert (True, 1.0, 1.0, 1.0, 0.0) == (
        dense["is_dense"],
        dense["activation_frequency"],
        dense["mean_activation"],
        dense["max_activation"],
        dense["std_activation"],
    )
    assert sum(expected.n_excluded.values()) == dense["n_fires_excluded"]


def test_features_10_and_11_are_the_same(planted_run: PlantedRun, features: list[Json]) -> None:
    own = {"feature_index": None, "duplicate_of": None}
    first, second = ({**features[index], **own} for index in (TWIN, OTHER_TWIN))
    assert first["n_fires"] > 0
    assert first == second
    assert {OTHER_TWIN: TWIN} == {
        feature["feature_index"]: feature["duplicate_of"] for feature in features if feature["duplicate_of"] is not None
    }
    found = planted_run.featlas.json("features", planted_run.run, "is:duplicate")
    assert [OTHER_TWIN] == [feature["feature_index"] for feature in found]


def test_features_on_excluded_positions_are_not_dead(planted_run: PlantedRun, features: list[Json]) -> None:
    printed = planted_run.printed
    for index, n_excluded in ((BOS_ONLY, printed["n_excluded"]["bos"]), (SINK_ONLY, printed["n_excluded"]["sink"])):
        feature = features[index]
        assert (False, True, 0) == (feature["is_dead"], feature["is_sink_only"], feature["n_fires"])
        assert n_excluded == feature["n_fires_excluded"] > 0
    found = planted_run.featlas.json("features", planted_run.run, "is:sink_only", "--sort", "feature_index")
    assert [BOS_ONLY, SINK_ONLY] == [feature["feature_index"] for feature in found]


def test_role_tokens_of_a_chat_are_counted(planted_run: PlantedRun, features: list[Json]) -> None:
    role_id = planted_run.planted.ids[planted_sae.ROLE_TOKEN]
    n_roles = sum(tokens.count(role_id) for tokens in planted_run.tokens())
    assert n_roles > 0
    (token,) = features[ROLE]["top_tokens"]
    assert (n_roles, n_roles, "<|user|>") == (token["n_fires"], token["n_occurrences"], token["token"])


def test_examples_show_every_firing_of_their_context(planted_run: PlantedRun, the_feature: Json) -> None:
    token_id = planted_run.planted.ids[planted_sae.TOKEN]
    value = float(planted_run.planted.activations[token_id, ONE_TOKEN])
    firing = [example for example in the_feature["examples"] if example["positions"]]
    assert firing
    for example in firing:
        pieces = [example["text"][start:end] for start, end in example["token_spans"]]
        bounds = [0, *(end for _, end in example["token_spans"])]
        assert bounds == sorted(bounds)  # in order, and tokens that split a character share it
        assert len(example["text"]) == bounds[-1]
        assert [n for n, piece in enumerate(pieces) if piece == " the"] == example["positions"]
        assert {value} == set(example["values"])
        assert (value, example["positions"][0]) == (example["max_activation"], example["peak"])


def test_contexts_without_a_firing_have_none(the_feature: Json) -> None:
    silent = [example for example in the_feature["examples"] if not example["positions"]]
    assert {"non_firing"} == {example["band"] for example in silent}
    for example in silent:
        assert " the" not in [example["text"][start:end] for start, end in example["token_spans"]]
        assert example["max_activation"] is None


def test_texts_of_examples_are_the_documents_own(planted_run: PlantedRun, the_feature: Json) -> None:
    for example in the_feature["examples"]:
        text = example["text"].removeprefix("<|endoftext|>").strip("\ufffd")
        assert any(text in document for document in planted_run.documents)
