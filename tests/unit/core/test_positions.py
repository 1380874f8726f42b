import numpy as np
from hypothesis import given, settings
from tests.oracles.worlds import World, cuts, make_world, worlds

from featlas.core.aggregate import fold
from featlas.core.positions import BUCKET_START, N_BUCKETS, PositionProfile, position_buckets


def test_a_bucket_holds_the_positions_of_equally_many_binary_digits():
    positions = [0, 1, 2, 3, 4, 7, 8, 15, 16, 32767, 32768, 65535]
    assert [p.bit_length() for p in positions] == position_buckets(np.array(positions)).tolist()
    assert [0, 1, 2, 4, 8] == BUCKET_START[:5].tolist()
    assert (17, 32768) == (len(BUCKET_START), BUCKET_START[-1])


@settings(max_examples=40)
@given(worlds, cuts)
def test_any_cut_gives_the_oracles_profile(world: World, at: list[int]):
    for features in (range(world.n_features), range(2, 4)):
        aggregate = PositionProfile(len(features))
        fold(world.cut(at, features), world.corpus, aggregate)
        expected = np.zeros((len(features), 2, N_BUCKETS), dtype=np.int64)
        for row, f in enumerate(features):
            for slot, _ in world.rows(f):
                context = int(world.corpus.context_of_slot[slot])
                position = slot - int(world.corpus.context_slot[context])
                expected[row, world.split(context), position.bit_length()] += 1
        np.testing.assert_array_equal(expected, aggregate.result())
        assert np.int64 == aggregate.result().dtype


def test_a_result_does_not_change_when_more_is_added():
    world = make_world(4, "one value")
    aggregate = PositionProfile(world.n_features)
    fold(world.cut([]), world.corpus, aggregate)
    first = aggregate.result()
    before = first.copy()
    fold(world.cut([]), world.corpus, aggregate)
    np.testing.assert_array_equal(before, first)
    np.testing.assert_array_equal(2 * before, aggregate.result())
