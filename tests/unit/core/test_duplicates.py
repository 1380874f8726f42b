import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.worlds import World, cuts, make_world, worlds

from featlas.core.aggregate import fold
from featlas.core.duplicates import FiringHashes, find_duplicates
from featlas.core.events import FeatureEvents


def hashes_of(world: World, at: list[int], features: range) -> np.ndarray:
    aggregate = FiringHashes(len(features))
    fold(world.cut(at, features), world.corpus, aggregate)
    return aggregate.result()


@settings(max_examples=40)
@given(worlds, cuts)
def test_features_have_one_hash_where_they_fire_at_the_same_slots(world: World, at: list[int]):
    whole = hashes_of(world, [], range(world.n_features))
    np.testing.assert_array_equal(whole, hashes_of(world, at, range(world.n_features)))
    np.testing.assert_array_equal(whole[2:4], hashes_of(world, at, range(2, 4)))
    slots = [[slot for slot, _ in world.rows(f)] for f in range(world.n_features)]
    for f, hash_f in enumerate(whole):
        for g, hash_g in enumerate(whole):
            assert (slots[f] == slots[g]) == (hash_f == hash_g)


def test_a_result_does_not_change_when_more_is_added():
    world = make_world(4, "one value")
    aggregate = FiringHashes(world.n_features)
    fold(world.cut([]), world.corpus, aggregate)
    first = aggregate.result()
    before = first.copy()
    fold(world.cut([]), world.corpus, aggregate)
    np.testing.assert_array_equal(before, first)


def test_the_values_do_not_matter():
    world = make_world(4, "one value")
    events = world.events
    louder = FeatureEvents(events.first_feature, events.indptr, events.slot, events.value * 3)
    hashes = []
    for chunk in (events, louder):
        aggregate = FiringHashes(world.n_features)
        fold([chunk], world.corpus, aggregate)
        hashes.append(aggregate.result())
    np.testing.assert_array_equal(*hashes)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12))
def test_the_lowest_index_of_the_same_firings_is_the_original(rows: list[tuple[int, int]]):
    firing_hash = np.array([row[0] for row in rows], dtype=np.uint64)
    n_fires = np.array([row[1] for row in rows], dtype=np.int64)
    expected = [next((g for g in range(f) if rows[g] == row), -1) if row[1] > 0 else -1 for f, row in enumerate(rows)]
    actual = find_duplicates(firing_hash, n_fires)
    assert expected == actual.tolist()
    assert np.int64 == actual.dtype
