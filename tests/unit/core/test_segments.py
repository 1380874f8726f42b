import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featlas.core.segments import (
    argsort_within,
    concat_ranges,
    descending,
    first_argmax,
    rank_in_run,
    run_lengths,
    run_starts,
    scatter_rows,
)

small = st.integers(0, 3)
keys = st.one_of(small, st.integers(0, 2**64 - 1), st.sampled_from([2**63, 2**63 + 1, 2**64 - 1, 2**40]))


def test_a_run_starts_where_any_column_changes():
    starts = run_starts(np.array([1, 1, 1, 2, 2]), np.array([5, 5, 6, 6, 6]))
    assert [0, 2, 3] == starts.tolist()
    assert [2, 1, 2] == run_lengths(starts, 5).tolist()
    assert [0, 1, 0, 0, 1] == rank_in_run(starts, 5).tolist()


def test_nothing_has_no_runs():
    none = np.zeros(0, dtype=np.int64)
    assert 0 == len(run_starts(none))
    assert 0 == len(first_argmax(none, none))
    assert 0 == len(argsort_within(none, none.astype(np.uint64)))
    assert 0 == len(concat_ranges(none, none))


def test_ranges_follow_each_other_and_may_be_empty():
    at = concat_ranges(np.array([10, 3, 7, 0]), np.array([2, 0, 3, 1]))
    assert [10, 11, 7, 8, 9, 0] == at.tolist()


@given(st.lists(st.lists(small, min_size=1, max_size=5), min_size=1, max_size=6))
def test_first_argmax_is_pythons_max_of_each_run(runs):
    starts = np.cumsum([0, *(len(run) for run in runs)])[:-1]
    expected = [int(start) + run.index(max(run)) for start, run in zip(starts, runs, strict=True)]
    assert expected == first_argmax(np.concatenate([np.array(run) for run in runs]), starts).tolist()


@given(st.lists(st.tuples(st.integers(0, 5) | st.just(2**20), keys, keys, small), max_size=40))
def test_argsort_within_is_a_stable_sort_by_all_columns(rows):
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    segment = np.array(columns[0], dtype=np.int64)
    order = argsort_within(segment, *(np.array(column, dtype=np.uint64) for column in columns[1:]))
    assert sorted(range(len(rows)), key=lambda i: rows[i]) == order.tolist()


@given(st.lists(st.tuples(keys), max_size=40))
def test_argsort_within_needs_no_more_than_one_segment(rows):
    column = np.array([key for (key,) in rows], dtype=np.uint64)
    expected = sorted(range(len(rows)), key=lambda i: rows[i])
    assert expected == argsort_within(np.zeros(len(rows), dtype=np.int64), column).tolist()


def test_argsort_within_takes_the_segment_alone():
    assert [1, 3, 0, 2] == argsort_within(np.array([2, 0, 2, 1])).tolist()


def test_descending_puts_the_largest_first():
    key = descending(np.array([3, 9, 3, 0]))
    assert [6, 0, 6, 9] == key.tolist()
    assert np.uint64 == key.dtype
    assert 0 == len(descending(np.zeros(0)))


def test_scatter_leaves_out_what_does_not_fit():
    out = np.full((2, 2), -1)
    scatter_rows(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), np.array([5, 6, 7, 8]), out)
    assert [[5, 6], [8, -1]] == out.tolist()
