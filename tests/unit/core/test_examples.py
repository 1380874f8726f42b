import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import statistics
from tests.oracles.worlds import World, cuts, make_world, worlds

from featlas.core.aggregate import fold
from featlas.core.examples import ExampleLists, ExampleOptions, Examples, choose_top, peak_ranks
from featlas.core.histogram import OCTAVES

OPTIONS = ExampleOptions(seed=5, n_candidates=4, n_uniform=3, n_octave=2)


def describe(world: World, at: list[int], features: range) -> ExampleLists:
    aggregate = Examples(world.first + features.start, len(features), OPTIONS)
    fold(world.cut(at, features), world.corpus, aggregate)
    return aggregate.result()


def listed(row: np.ndarray) -> list[int]:
    n = int((row >= 0).sum())
    assert (row[n:] == -1).all()
    return row[:n].tolist()


@settings(max_examples=40)
@given(worlds, cuts)
def test_any_cut_and_range_gives_the_oracles_lists(world: World, at: list[int]):
    seed = OPTIONS.seed
    for features in (range(world.n_features), range(1, 4)):
        lists = describe(world, at, features)
        for row, f in enumerate(features):
            for split in (0, 1):
                for by, table in (("document", lists.by_document), ("window", lists.by_window)):
                    expected = statistics.best_distinct(world, f, split, seed, OPTIONS.n_candidates, by)
                    assert expected == listed(table[row, split])
                expected = statistics.smallest_keys(world, f, split, seed, OPTIONS.n_uniform)
                assert expected == listed(lists.uniform[row, split])
                for column, octave in enumerate(OCTAVES.tolist()):
                    expected = statistics.smallest_keys(world, f, split, seed, OPTIONS.n_octave, octave)
                    assert expected == listed(lists.octaves[row, split, column])


@settings(max_examples=40)
@given(worlds, cuts, st.integers(1, 6))
def test_the_published_top_is_the_oracles_two_walks(world: World, at: list[int], n_top: int):
    top = choose_top(describe(world, at, range(world.n_features)), world.corpus, n_top)
    assert (world.n_features, 2, n_top) == top.shape
    for f in range(world.n_features):
        for split in (0, 1):
            expected = statistics.published_top(world, f, split, OPTIONS.seed, OPTIONS.n_candidates, n_top)
            assert expected == listed(top[f, split])


def test_features_that_never_fire_have_empty_lists():
    world = make_world(6, "floats")
    lists = describe(world, [], range(world.n_features - 1, world.n_features))
    for table in (lists.by_document, lists.by_window, lists.uniform, lists.octaves):
        assert (table == -1).all()
    assert (1, 2, 4) == lists.by_document.shape
    assert (1, 2, 34, 2) == lists.octaves.shape
    assert (choose_top(lists, world.corpus, 3) == -1).all()
    assert (1, 2, 3) == choose_top(lists, world.corpus, 3).shape


def test_the_seed_changes_what_is_drawn_but_not_what_is_strongest():
    world = make_world(8, "floats")
    other = Examples(world.first, world.n_features, ExampleOptions(seed=6, n_candidates=4, n_uniform=3, n_octave=2))
    fold(world.cut([]), world.corpus, other)
    first, second = describe(world, [], range(world.n_features)), other.result()
    assert (first.uniform != second.uniform).any()
    np.testing.assert_array_equal(first.by_document, second.by_document)


def test_ranks_ascend_as_magnitudes_descend_and_ties_go_by_key():
    peak = np.array([1.0, -4.0, 4.0, 4.0], dtype=np.float32)
    key = np.array([0, 2**40, 2**63, 2**40 + 1], dtype=np.uint64)
    rank = peak_ranks(peak, key)
    assert [1, 3, 2, 0] == np.argsort(rank, kind="stable").tolist()
    assert rank[1] == rank[3]


def test_the_numbers_published_by_default():
    assert ExampleOptions(0, 48, 48, 6) == ExampleOptions()
