import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import statistics
from tests.oracles.worlds import World, cuts, worlds

from featlas.core.aggregate import fold
from featlas.core.histogram import (
    EDGES,
    N_BINS,
    N_OCTAVES,
    OCTAVES,
    Histograms,
    find_quantile,
    octave_columns,
    trim_histogram,
    value_bins,
)

floats = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda v: v != 0)
LARGEST = float(np.finfo(np.float32).max)


def test_edges_are_quarter_octaves_between_the_largest_floats():
    assert 261 == len(EDGES) == N_BINS + 1
    assert (np.diff(EDGES) > 0).all()
    assert [0.0, 2.0**-16, 1.25 * 2.0**-16, 1.5 * 2.0**-16, 1.75 * 2.0**-16, 2.0**-15] == EDGES[130:136].tolist()
    assert [1.75 * 2.0**15, 2.0**16, LARGEST] == EDGES[-3:].tolist()
    assert (-EDGES[::-1]).tolist() == EDGES.tolist()


@given(st.lists(floats, min_size=1))
def test_a_value_lies_between_the_edges_of_its_bin(values: list[float]):
    expected = [statistics.bin_of(v, EDGES) for v in values]
    assert expected == value_bins(np.array(values, dtype=np.float32)).tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_edges_belong_to_the_bin_farther_from_zero(sign: int):
    edges = EDGES[131:260]
    side = value_bins((sign * edges).astype(np.float32))
    expected = np.arange(131, 260) if sign > 0 else 259 - np.arange(131, 260)
    np.testing.assert_array_equal(expected, side)
    below = np.nextafter(edges.astype(np.float32), np.float32(0))
    np.testing.assert_array_equal(expected - sign, value_bins(sign * below))


def test_infinite_values_are_in_the_outermost_bins():
    assert [0, 259] == value_bins(np.array([-np.inf, np.inf], dtype=np.float32)).tolist()


@given(st.lists(floats.filter(lambda v: abs(v) > 1e-37), min_size=1))
def test_octaves_are_floors_of_logarithms(values: list[float]):
    expected = [statistics.octave_of(v) for v in values]
    assert expected == OCTAVES[octave_columns(np.array(values, dtype=np.float32))].tolist()


def test_octaves_reach_from_minus_17_to_16():
    assert (34, -17, 16) == (N_OCTAVES, OCTAVES[0], OCTAVES[-1])
    assert [0, 0, 1, 33, 33] == octave_columns(np.array([1e-40, 2.0**-17, -(2.0**-16), 2.0**16, 3e38], "f4")).tolist()


def test_bins_take_values_of_any_layout_and_width():
    values = np.array([1.0, 7.0, -2.0, 9.0])[::2]
    assert [statistics.bin_of(v, EDGES) for v in values] == value_bins(values).tolist()
    assert [17, 18] == octave_columns(values).tolist()


@settings(max_examples=40)
@given(worlds, cuts)
def test_any_cut_gives_the_oracles_histograms(world: World, at: list[int]):
    for features in (range(world.n_features), range(1, 3)):
        aggregate = Histograms(len(features))
        fold(world.cut(at, features), world.corpus, aggregate)
        result = aggregate.result()
        for row, f in enumerate(features):
            events, peaks = np.zeros(N_BINS, dtype=np.int64), np.zeros((2, N_OCTAVES), dtype=np.int64)
            for _, value in world.rows(f):
                events[statistics.bin_of(value, EDGES)] += 1
            for context, (_, value) in world.peaks(f).items():
                peaks[world.split(context), statistics.octave_of(value) + 17] += 1
            np.testing.assert_array_equal(events, result.events[row])
            np.testing.assert_array_equal(peaks, result.peaks[row])
            assert len(world.rows(f)) == result.events[row].sum()


def test_a_result_does_not_change_when_more_is_added():
    from tests.oracles.worlds import make_world

    world = make_world(2, "floats")
    aggregate = Histograms(world.n_features)
    fold(world.cut([]), world.corpus, aggregate)
    first = aggregate.result()
    n_events, n_peaks = first.events.sum(), first.peaks.sum()
    fold(world.cut([]), world.corpus, aggregate)
    assert (n_events, n_peaks) == (first.events.sum(), first.peaks.sum())


def test_trimming_keeps_the_empty_bins_in_between():
    counts = np.zeros(N_BINS, dtype=np.int64)
    counts[[140, 143]] = [4, 2]
    edges, trimmed = trim_histogram(counts)
    assert [4, 0, 0, 2] == trimmed.tolist()
    assert EDGES[140:145].tolist() == edges.tolist()
    edges[0] = 7.0
    assert EDGES[140] != 7.0


def test_trimming_nothing_gives_nothing():
    edges, trimmed = trim_histogram(np.zeros(N_BINS, dtype=np.int64))
    assert ([], []) == (edges.tolist(), trimmed.tolist())
    assert np.int64 == trimmed.dtype


@pytest.mark.parametrize("outermost", [0, N_BINS - 1])
def test_trimmed_edges_are_finite(outermost: int):
    counts = np.zeros(N_BINS, dtype=np.int64)
    counts[outermost] = 1
    edges, trimmed = trim_histogram(counts)
    assert [1] == trimmed.tolist()
    assert LARGEST == np.abs(edges).max()


@given(st.lists(floats, min_size=1, max_size=30), st.sampled_from([0.01, 0.25, 0.5, 0.9, 1.0]))
def test_a_quantile_lies_where_it_is_said_to(values: list[float], q: float):
    array = np.array(values, dtype=np.float32)
    counts = np.stack([np.bincount(value_bins(array), minlength=N_BINS), np.zeros(N_BINS, dtype=np.int64)])
    found = find_quantile(counts, q)
    exact = float(np.sort(array)[int(np.ceil(q * len(values))) - 1])
    assert found.low[0] <= exact <= found.high[0]
    assert EDGES[statistics.bin_of(exact, EDGES)] == found.low[0]
    assert EDGES[statistics.bin_of(exact, EDGES) + 1] == found.high[0]
    assert (found.low[0] + found.high[0]) / 2 == found.value[0]
    if 2.0**-16 <= abs(exact) < 2.0**16:
        assert abs(found.value[0] - exact) <= 0.125 * abs(exact)
    assert np.isnan([found.value[1], found.low[1], found.high[1]]).all()
