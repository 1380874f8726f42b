import math

import numpy as np
import pytest
from hypothesis import given, settings
from tests.oracles import statistics
from tests.oracles.worlds import KINDS, World, cuts, make_world, worlds

from featlas.core.aggregate import fold
from featlas.core.moments import Moments, mean_over_events, share, std_over_events

COUNTS = ("n_fires", "n_contexts_fired", "n_documents_fired", "group_n_fires")


def describe(world: World, at: list[int], features: range):
    moments = Moments(len(features))
    fold(world.cut(at, features), world.corpus, moments)
    return moments.result()


@settings(max_examples=40)
@given(worlds, cuts)
def test_any_cut_gives_the_oracles_moments(world: World, at: list[int]):
    result = describe(world, at, range(world.n_features))
    for f in range(world.n_features):
        expected = statistics.moments(world, f)
        for name in COUNTS:
            np.testing.assert_array_equal(expected[name], getattr(result, name)[f])
        np.testing.assert_array_equal(np.float32(expected["max"]), result.max[f])
        scale = 1e-12 * float(expected["size"])
        np.testing.assert_allclose(result.sum[f], expected["sum"], rtol=1e-12, atol=scale)
        np.testing.assert_allclose(result.sum_sq[f], expected["sum_sq"], rtol=1e-12)
        np.testing.assert_allclose(result.group_sum[f], expected["group_sum"], rtol=1e-12, atol=scale)


@settings(max_examples=40)
@given(worlds, cuts)
def test_a_range_of_features_gives_the_same_as_all(world: World, at: list[int]):
    whole = describe(world, at, range(world.n_features))
    for part in (range(2), range(2, world.n_features)):
        result = describe(world, at, part)
        for name, value in vars(whole).items():
            np.testing.assert_array_equal(value[part.start : part.stop], getattr(result, name))


def test_a_result_does_not_change_when_more_is_added():
    world = make_world(7, "floats")
    moments = Moments(world.n_features)
    fold(world.cut([]), world.corpus, moments)
    first = moments.result()
    before = {name: value.copy() for name, value in vars(first).items()}
    fold(world.cut([]), world.corpus, moments)
    for name, value in before.items():
        np.testing.assert_array_equal(value, getattr(first, name))


def test_equal_magnitudes_keep_the_sign_that_came_first():
    world = make_world(1, "small integers")
    rows = [v for _, v in world.rows(0)]
    largest = max(abs(v) for v in rows)
    assert {largest, -largest} <= set(rows)  # or the case is not met
    expected = next(v for v in rows if abs(v) == largest)
    for at in ([], list(range(world.corpus.n_contexts))):
        assert expected == describe(world, at, range(world.n_features)).max[0]


def test_share_of_nothing_does_not_exist():
    np.testing.assert_array_equal([0.25, 1.0], share(np.array([1, 4]), 4))
    np.testing.assert_array_equal([1.0], share(np.array([1]), 1))
    np.testing.assert_array_equal([np.nan, np.nan], share(np.array([0, 0]), 0))


def test_mean_and_std_are_over_events_only():
    n_fires = np.array([0, 1, 3])
    total, squares = np.array([0.0, 5.0, 6.0]), np.array([0.0, 25.0, 14.0])
    np.testing.assert_array_equal([np.nan, 5.0, 2.0], mean_over_events(n_fires, total))
    np.testing.assert_array_equal([np.nan, 0.0, 1.0], std_over_events(n_fires, total, squares))


def test_rounding_never_makes_the_root_of_a_negative_number():
    total, squares = np.array([0.3]), np.array([0.03 * (1 - 1e-12)])
    np.testing.assert_array_equal([0.0], std_over_events(np.array([3]), total, squares))


@pytest.mark.parametrize("kind", KINDS[:3])
def test_std_is_numpys(kind: str):
    world = make_world(11, kind)
    m = describe(world, [], range(world.n_features))
    std = std_over_events(m.n_fires, m.sum, m.sum_sq)
    for f in range(world.n_features):
        values = np.array([v for _, v in world.rows(f)])
        if len(values) < 2:
            continue
        size = math.sqrt(float(np.mean(values**2)))
        assert std[f] == pytest.approx(np.std(values, ddof=1), abs=1e-7 * size)
