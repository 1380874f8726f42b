"""The compiled loops against their slow twins, on numbers with ties, zeros, and more firings than there is room for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles.events import dense_rows, firing, largest

from featlas.engine import kernels
from featlas.engine.kernels import choose_largest, find_firing, turn_over

Chance = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def whole(chance: np.random.Generator, *shape: int) -> np.ndarray:
    """Small whole numbers, so that ties are common and sums exact."""
    return chance.integers(-3, 4, shape).astype(np.float32)


@given(chance=Chance, n_features=st.integers(1, 5), n=st.integers(0, 70), is_gated=st.booleans())
def test_what_fires_in_a_tile(chance: np.random.Generator, n_features: int, n: int, is_gated: bool) -> None:
    products = whole(chance, n_features, n)
    rules = whole(chance, 4, n_features)
    rules[2] = np.abs(rules[2])
    rules[3] = rules[3] if is_gated else -np.inf
    expected = firing(products, rules)
    row, value = np.empty(n_features * n, np.int32), np.empty(n_features * n, np.float32)
    n_fires = np.empty(n_features, np.int64)
    found = find_firing(products, rules, row, value, n_fires)
    assert found == n_fires.sum() == np.count_nonzero(expected)
    assert np.array_equal(dense_rows(n_fires, row[:found], value[:found], n), expected)
    for start, count in zip(np.cumsum(n_fires) - n_fires, n_fires, strict=True):
        assert np.all(np.diff(row[start : start + count]) > 0)


def test_without_enough_room_all_are_counted_and_none_written_beyond() -> None:
    products = np.ones((2, 40), np.float32)
    rules = np.array([[1, 1], [0, 0], [0, 0], [-np.inf, -np.inf]], np.float32)
    row, value = np.full(50, -1, np.int32), np.zeros(50, np.float32)
    n_fires = np.empty(2, np.int64)
    assert find_firing(products, rules, row[:30], value[:30], n_fires) == 80
    assert n_fires.tolist() == [40, 40]
    assert (row[:30] >= 0).all()
    assert (row[30:] == -1).all()


@given(chance=Chance, n=st.integers(0, 5), n_features=st.integers(1, 200), k=st.integers(1, 8), floor=st.integers(0, 3))
def test_the_largest_of_each_token(chance: np.random.Generator, n: int, n_features: int, k: int, floor: int) -> None:
    k = min(k, n_features)
    products, rules = whole(chance, n, n_features), np.abs(whole(chance, 2, n_features))
    if chance.random() < 0.5:
        products += chance.random(products.shape, np.float32)
    expected = largest(products, rules, k, floor)
    feature, value = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    n_fires = np.empty(n, np.int64)
    choose_largest(products, rules, k, np.float32(floor), feature, value, n_fires)
    fires = np.arange(k) < n_fires[:, None]
    assert np.array_equal(dense_rows(n_fires, feature[fires], value[fires], n_features), expected)
    assert all(np.all(np.diff(feature[token, : n_fires[token]]) > 0) for token in range(n))


@pytest.mark.parametrize("order", ["ascending", "descending", "equal"])
def test_the_largest_where_the_room_for_candidates_runs_out(order: str) -> None:
    """Ascending numbers are each larger than all before: the bound has to rise again and again."""
    line = {"ascending": np.arange(5000), "descending": np.arange(5000)[::-1], "equal": np.full(5000, 7)}[order]
    products = np.stack([line + 1, line[::-1] + 1, np.zeros(5000)]).astype(np.float32)
    rules = np.stack([np.ones(5000), np.zeros(5000)]).astype(np.float32)
    feature, value, n_fires = np.empty((3, 4), np.int32), np.empty((3, 4), np.float32), np.empty(3, np.int64)
    choose_largest(products, rules, 4, np.float32(0), feature, value, n_fires)
    assert n_fires.tolist() == [4, 4, 0]
    fires = np.arange(4) < n_fires[:, None]
    expected = largest(products, rules, 4, 0)
    assert np.array_equal(dense_rows(n_fires, feature[fires], value[fires], 5000), expected)


def test_a_weak_token_after_a_strong_one_gets_its_own() -> None:
    """The bound that a token starts with comes from the one before."""
    products = np.array([[100, 200, 300], [1, 2, 3], [0, 5, 0]], np.float32)
    rules = np.array([[1, 1, 1], [0, 0, 0]], np.float32)
    feature, value, n_fires = np.empty((3, 2), np.int32), np.empty((3, 2), np.float32), np.empty(3, np.int64)
    choose_largest(products, rules, 2, np.float32(0), feature, value, n_fires)
    assert n_fires.tolist() == [2, 2, 1]
    assert value[1].tolist() == [2, 3]
    assert (feature[2, 0], value[2, 0]) == (1, 5)


@given(chance=Chance, n_lines=st.integers(0, 8), n_columns=st.integers(1, 8))
def test_a_matrix_is_turned_over(chance: np.random.Generator, n_lines: int, n_columns: int) -> None:
    matrix = whole(chance, n_lines, n_columns)
    is_wanted = chance.random(n_lines) < 0.7
    line, column = np.nonzero(matrix)
    starts = np.searchsorted(line, np.arange(n_lines + 1))
    wanted = np.where(is_wanted[:, None], matrix, 0).T
    n_here = np.count_nonzero(wanted, axis=1)
    line_out, value_out = np.empty(n_here.sum(), np.uint16), np.empty(n_here.sum(), np.float32)
    next_place = np.cumsum(n_here) - n_here
    turn_over(starts, is_wanted, column, matrix[line, column], next_place, line_out, value_out)
    assert np.array_equal(dense_rows(n_here, line_out, value_out, n_lines), wanted)
    assert np.array_equal(next_place, np.cumsum(n_here))


def test_without_a_folder_to_keep_it_in_code_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **given: object) -> object:
        if "cache" in given:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(kernels.numba, "njit", refuse)
    assert kernels._compiled(len) is len
