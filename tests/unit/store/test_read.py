import json
import tracemalloc

import numpy as np
import pytest
from sqlalchemy import event
from tests.builders.stored_runs import (
    OCCURRENCES,
    make_batch,
    make_columns,
    make_header,
    make_run,
    publish_run,
    register_inputs,
)

from featlas.domain import FeatureFlag, Histogram, Interval, Split, TokenStat
from featlas.errors import ConflictError, NotFoundError
from featlas.store.json_shapes import feature_to_json
from featlas.store.read import fetch_feature, read_features
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter

KEYS = [
    "feature_index",
    "label",
    "n_fires",
    "n_tokens",
    "activation_frequency",
    "n_contexts_fired",
    "context_frequency",
    "mean_activation",
    "std_activation",
    "max_activation",
    "histogram",
    "top_tokens",
    "is_dead",
    "is_dense",
    "is_sink_only",
    "is_null",
    "duplicate_of",
    "n_fires_excluded",
    "intervals",
]
EXAMPLE_KEYS = [
    "band",
    "document",
    "context",
    "token_offset",
    "text",
    "token_spans",
    "peak",
    "positions",
    "values",
    "max_activation",
    "n_similar",
    "split",
]


@pytest.fixture
def run(store: Store) -> Run:
    """A run of 4 features and 2 null features; feature 1 is dead."""
    made = make_run(store, register_inputs(store))
    publish_run(store, made)
    with store.read() as session:
        return fetch_run(session, made.id)


def test_a_feature_is_everything_that_was_written_of_it(store: Store, run: Run):
    with store.read() as session:
        found = fetch_feature(session, run, 2)
    assert (found.feature_index, found.n_fires, found.n_tokens) == (2, 12, 13)
    assert (found.n_contexts_fired, found.n_fires_excluded, found.max_activation) == (3, 2, 6.0)
    assert (found.activation_frequency, found.context_frequency) == (12 / 13, 3 / 4)
    assert (found.mean_activation, found.std_activation) == (1.5, 2.25)
    assert found.histogram == Histogram((1.0, 2.0, 4.0, 8.0), (8, 0, 4))
    assert found.intervals == {"activation_frequency": Interval(0.002, 0.02), "mean_activation": None}
    assert found.flags == FeatureFlag(0)


def test_top_tokens_are_ordered_by_firings_then_id(store: Store, run: Run):
    with store.read() as session:
        found = fetch_feature(session, run, 3).top_tokens
    assert found == (
        TokenStat(2, " court", 8, 102, 0.5, 3.25, 8 / 102, 8 / 13),
        TokenStat(3, r" caf\xc3", 8, 103, 0.5, 3.25, 8 / 103, 8 / 13),
        TokenStat(8, "\0", 1, 108, 0.5, 3.25, 1 / 108, 1 / 13),
    )


def test_a_dead_feature_has_nulls_and_empty_lists(store: Store, run: Run):
    with store.read() as session:
        shape = feature_to_json(fetch_feature(session, run, 1))
    assert shape["is_dead"] is True
    assert (shape["n_fires"], shape["activation_frequency"]) == (0, 0.0)
    assert [shape[name] for name in ("mean_activation", "std_activation", "max_activation")] == [None] * 3
    assert shape["histogram"] == {"edges": [], "counts": []}
    assert (shape["top_tokens"], shape["examples"]) == ([], [])
    assert shape["intervals"] == {"activation_frequency": None, "mean_activation": None}


def test_examples_come_by_band_with_text_spans_and_events(store: Store, run: Run):
    with store.read() as session:
        examples = fetch_feature(session, run, 2).examples
    assert examples is not None
    bands = ["top", "top", "octave:2", "octave:-1", "uniform", "uniform", "near_miss", "non_firing"]
    assert [example.band for example in examples] == bands
    second = examples[1]
    assert (second.context, second.document, second.token_offset) == (1, 0, 100)
    assert second.text == "<s> café\n"
    assert second.token_spans == ((0, 3), (3, 8), (7, 8), (8, 9))
    assert [second.text[a:b] for a, b in second.token_spans] == ["<s>", " café", "é", "\n"]
    assert (second.peak, second.positions, second.values, second.max_activation) == (2, (1, 2), (2.5, -4.0), -4.0)
    assert (second.n_similar, second.split) == (11, Split.SCORE)
    cut = examples[3]
    assert (cut.context, cut.text, cut.token_spans) == (2, "\ufffdthe \ufffd", ((0, 1), (1, 4), (4, 6)))
    near_miss = examples[6]
    assert (near_miss.positions, near_miss.values, near_miss.max_activation, near_miss.peak) == ((), (), None, 2)


def test_json_has_exactly_the_keys_of_the_contract_and_no_nan(store: Store, run: Run):
    with store.read() as session:
        shape = feature_to_json(fetch_feature(session, run, 2))
        listed = [feature_to_json(feature) for feature in read_features(session, run, range(4))]
    assert list(shape) == [*KEYS, "examples"]
    assert all(list(example) == EXAMPLE_KEYS for example in shape["examples"])
    assert all(list(feature) == KEYS for feature in listed)
    assert list(shape["top_tokens"][0]) == [
        "token_id",
        "token",
        "n_fires",
        "n_occurrences",
        "mean_activation",
        "max_activation",
        "p_fire_given_token",
        "p_token_given_fire",
    ]
    assert shape["intervals"]["activation_frequency"] == {"low": 0.002, "high": 0.02}
    assert shape["examples"][0]["split"] == "label"
    assert json.loads(json.dumps([shape, *listed], allow_nan=False)) == [shape, *listed]


def test_many_features_equal_one_by_one(store: Store, run: Run):
    with store.read() as session:
        many = [feature_to_json(feature) for feature in read_features(session, run, range(4))]
        ones = [feature_to_json(fetch_feature(session, run, at)) for at in range(4)]
    for shape in ones:
        del shape["examples"]
    assert many == ones


def test_features_come_in_the_order_asked_for(store: Store, run: Run):
    with store.read() as session:
        found = [feature.feature_index for feature in read_features(session, run, np.array([3, 0, 5, 99, 0, 2]))]
    assert found == [3, 0, 5, 0, 2]


def test_null_features_are_marked_and_only_read_when_asked_for(store: Store, run: Run):
    with store.read() as session:
        assert [feature.feature_index for feature in read_features(session, run, [4, 5])] == [4, 5]
        with pytest.raises(NotFoundError, match=r"has no feature 4; its features are 0 … 3"):
            fetch_feature(session, run, 4)


@pytest.mark.parametrize("index", [-1, 6, 10**12])
def test_an_index_outside_the_sae_is_not_found(store: Store, run: Run, index: int):
    with store.read() as session, pytest.raises(NotFoundError, match="its features are 0 … 3"):
        fetch_feature(session, run, index)


def test_a_run_that_published_nothing_says_so(store: Store, run: Run):
    pending = make_run(store, register_inputs(store), "pending")
    with store.read() as session:
        with pytest.raises(ConflictError, match="run 'pending' has published nothing yet"):
            fetch_feature(session, pending, 0)
        with pytest.raises(ConflictError, match="has published nothing yet"):
            list(read_features(session, pending, [0]))


def test_many_features_are_read_in_few_queries_and_bounded_memory(store: Store):
    n = 3000
    made = make_run(store, register_inputs(store, d_sae=n))
    writer = SnapshotWriter(store, made.id, make_header(n), OCCURRENCES)
    batch = make_batch(0, n, with_details=False)
    writer.add_features(batch)
    writer.add_columns(make_columns(batch))
    writer.publish()
    statements: list[str] = []
    with store.read() as session:
        run = fetch_run(session, made.id)
        event.listen(session.get_bind(), "before_cursor_execute", lambda *a: statements.append(a[2]))
        tracemalloc.start()
        n_read = sum(1 for _ in read_features(session, run, range(n)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert n_read == n
    assert len(statements) <= n / 500 + 3
    # All 3,000 at once took 15 MB, a chunk of 500 takes 4.
    assert peak < 8e6
