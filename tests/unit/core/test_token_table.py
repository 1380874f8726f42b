from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import statistics
from tests.oracles.worlds import VOCAB, World, cuts, make_world, worlds

from featlas.core.aggregate import fold
from featlas.core.token_table import TokenTable, commonest_tokens, select_top_tokens, split_n_fires, take_rows
from featlas.domain import Split, TokenRows


def describe(world: World, at: list[int], features: range) -> TokenRows:
    table = TokenTable(world.first + features.start, VOCAB)
    fold(world.cut(at, features), world.corpus, table)
    return table.result()


@settings(max_examples=40)
@given(worlds, cuts)
def test_any_cut_and_range_gives_the_oracles_rows(world: World, at: list[int]):
    everything = statistics.token_rows(world)
    for features in (range(world.n_features), range(1, 4)):
        rows = describe(world, at, features)
        expected = [row for row in everything if row[0] - world.first in features]
        exact = zip(rows.feature_index, rows.token_id, rows.n_fires, rows.n_fires_score_split, rows.max, strict=True)
        assert [(*row[:4], np.float32(row[6])) for row in expected] == [tuple(row) for row in exact]
        scale = 1e-12 * np.array([row[2] * 2 * abs(row[6]) for row in expected])
        assert (np.abs(rows.sum - [row[4] for row in expected]) <= scale).all()
        assert (np.abs(rows.sum_score_split - [row[5] for row in expected]) <= scale).all()


def test_rows_have_the_published_types():
    rows = describe(make_world(3, "floats"), [4], range(5))
    types = {f.name: getattr(rows, f.name).dtype for f in fields(TokenRows)}
    assert types == {
        "feature_index": np.uint32,
        "token_id": np.uint32,
        "n_fires": np.int64,
        "n_fires_score_split": np.int64,
        "sum": np.float64,
        "sum_score_split": np.float64,
        "max": np.float32,
    }


def test_no_events_make_an_empty_table():
    rows = describe(make_world(3, "floats"), [], range(4, 5))
    assert 0 == len(rows.n_fires)
    assert rows is select_top_tokens(rows, np.zeros(VOCAB, dtype=np.int64), 3)
    assert (commonest_tokens(rows, 0, 2, Split.LABEL, 3) == -1).all()


def test_many_chunks_are_held_in_few_runs():
    world = make_world(9, "floats")
    table = TokenTable(world.first, VOCAB)
    every = list(range(world.corpus.n_contexts))
    fold(world.cut(every), world.corpus, table)
    fold(world.cut(every), world.corpus, table)
    assert len(table._runs) <= 5


@settings(max_examples=40)
@given(worlds, st.integers(1, 4))
def test_top_tokens_are_the_union_of_three_tops(world: World, k: int):
    rows = describe(world, [], range(world.n_features))
    counts = sum(statistics.occurrences(world), start=type(statistics.occurrences(world)[0])())
    expected = set()
    for f in range(world.n_features):
        own = [row for row in statistics.token_rows(world) if row[0] == world.first + f]
        measures = (
            lambda row: row[2],
            lambda row: round(statistics.wilson_low(row[2], counts[row[1]]), 9),
            lambda row: abs(np.float32(row[6])),
        )
        for measure in measures:
            expected |= {(row[0], row[1]) for row in sorted(own, key=lambda row: (-measure(row), row[1]))[:k]}
    chosen = select_top_tokens(rows, np.array([counts[t] for t in range(VOCAB)]), k)
    assert sorted(expected) == list(zip(chosen.feature_index.tolist(), chosen.token_id.tolist(), strict=True))


def table_of(rows: list[tuple[int, int, int, int]]) -> TokenRows:
    """Rows of (feature, token, n_fires, n_fires_score_split) with sums and maxima of 1."""
    feature, token, n_fires, n_score = (np.array(column) for column in zip(*rows, strict=True))
    one = np.ones(len(rows))
    return TokenRows(
        feature.astype(np.uint32), token.astype(np.uint32), n_fires, n_score, one, one, one.astype(np.float32)
    )


def test_each_ranking_brings_in_its_own_token():
    rows = table_of([(4, 1, 90, 0), (4, 2, 50, 0), (4, 3, 1, 0), (4, 5, 30, 0), (7, 0, 1, 0)])
    rows = replace(rows, max=np.array([1, 1, -9, 1, 1], dtype=np.float32))
    n_occurrences = np.array([1, 1000, 50, 1000, 1000, 1000])
    chosen = select_top_tokens(rows, n_occurrences, 1)
    assert [(4, 1), (4, 2), (4, 3), (7, 0)] == list(
        zip(chosen.feature_index.tolist(), chosen.token_id.tolist(), strict=True)
    )
    assert [90, 50, 1, 1] == chosen.n_fires.tolist()


def test_commonest_tokens_count_one_split_only():
    rows = table_of([(4, 1, 9, 8), (4, 2, 5, 0), (4, 3, 5, 0), (4, 6, 3, 3), (5, 0, 1, 0)])
    assert [[2, 3, 1], [0, -1, -1], [-1, -1, -1]] == commonest_tokens(rows, 4, 3, Split.LABEL, 3).tolist()
    assert [[1, 6], [-1, -1]] == commonest_tokens(rows, 4, 2, Split.SCORE, 2).tolist()
    assert [[2, 3]] == commonest_tokens(take_rows(rows, np.arange(4)), 4, 1, Split.LABEL, 2).tolist()


def test_the_label_split_has_what_the_score_split_has_not():
    rows = table_of([(0, 1, 9, 8), (0, 2, 5, 0)])
    assert [1, 5] == split_n_fires(rows, Split.LABEL).tolist()
    assert [8, 0] == split_n_fires(rows, Split.SCORE).tolist()


@pytest.mark.parametrize("index", [np.array([2, 0]), np.array([True, False, True])])
def test_rows_are_taken_in_every_column(index: np.ndarray):
    rows = describe(make_world(3, "floats"), [], range(1))
    rows = take_rows(rows, np.arange(3))
    taken = take_rows(rows, index)
    for f in fields(TokenRows):
        np.testing.assert_array_equal(getattr(rows, f.name)[index], getattr(taken, f.name))
