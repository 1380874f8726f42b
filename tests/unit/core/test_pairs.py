import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.worlds import World, cuts, worlds

from featlas.core.aggregate import fold
from featlas.core.pairs import PairEvents, PairFires, find_sorted, pair_ids


def all_pairs(world: World) -> np.ndarray:
    return np.arange(world.n_features * world.corpus.n_contexts)


def test_a_pair_is_one_integer():
    pair = pair_ids(np.array([0, 2]), np.array([7, 3], dtype=np.uint32), 10)
    assert [7, 23] == pair.tolist()
    assert np.int64 == pair.dtype


@given(st.sets(st.integers(0, 20)), st.lists(st.integers(-1, 22)))
def test_find_sorted_is_membership(members: set[int], wanted: list[int]):
    ascending = np.array(sorted(members), dtype=np.int64)
    is_found, at = find_sorted(ascending, np.array(wanted, dtype=np.int64))
    assert [w in members for w in wanted] == is_found.tolist()
    assert [w for w in wanted if w in members] == ascending[at].tolist()


@settings(max_examples=40)
@given(worlds, cuts, st.randoms(use_true_random=False))
def test_events_of_pairs_are_the_oracles_under_any_cut(world: World, at: list[int], random):
    pair = np.array([p for p in all_pairs(world).tolist() if random.random() < 0.5], dtype=np.int64)
    aggregate = PairEvents(pair)
    fold(world.cut(at), world.corpus, aggregate)
    rows = aggregate.result()
    n = world.corpus.n_contexts
    np.testing.assert_array_equal(pair, rows.pair)
    assert (np.uint16, np.float32) == (rows.position.dtype, rows.value.dtype)
    assert len(pair) + 1 == len(rows.indptr)
    for i, p in enumerate(pair.tolist()):
        own = slice(int(rows.indptr[i]), int(rows.indptr[i + 1]))
        expected = world.contexts(p // n).get(p % n, [])
        first = int(world.corpus.context_slot[p % n])
        assert [slot - first for slot, _ in expected] == rows.position[own].tolist()
        assert [value for _, value in expected] == rows.value[own].tolist()


@settings(max_examples=40)
@given(worlds, cuts, st.randoms(use_true_random=False))
def test_pairs_in_any_order_know_whether_they_fire(world: World, at: list[int], random):
    pair = np.array(random.choices(all_pairs(world).tolist(), k=30))
    aggregate = PairFires(pair)
    assert not aggregate.result().any()
    assert np.bool_ == aggregate.result().dtype
    fold(world.cut(at), world.corpus, aggregate)
    n = world.corpus.n_contexts
    assert [p % n in world.contexts(p // n) for p in pair.tolist()] == aggregate.result().tolist()
