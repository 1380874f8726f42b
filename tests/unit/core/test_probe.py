import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.plain_corpus import one_token_contexts
from tests.oracles.worlds import World, cuts, make_world, worlds

from featlas.core.aggregate import fold
from featlas.core.hashing import hash_arrays
from featlas.core.probe import ProbeFires, choose_non_firing, choose_probe, context_keys


def counted_by_context(world: World) -> dict[int, list[int]]:
    out: dict[int, list[int]] = {}
    for slot in world.counted():
        out.setdefault(int(world.corpus.context_of_slot[slot]), []).append(slot)
    return out


@settings(max_examples=40)
@given(worlds, st.sampled_from([1, 6, 1000]))
def test_the_probe_is_the_contexts_with_the_smallest_keys(world: World, n: int):
    probe, counted = choose_probe(world.corpus, 3, n), counted_by_context(world)
    everything = np.arange(world.corpus.n_contexts)
    keys = context_keys(world.corpus, everything, 3).tolist()
    expected = sorted(sorted(counted, key=lambda c: keys[c])[:n])
    assert expected == probe.context.tolist()
    assert [keys[c] for c in expected] == probe.key.tolist()
    assert [world.split(c) for c in expected] == probe.split.tolist()
    assert [counted[c][keys[c] % len(counted[c])] for c in expected] == probe.slot.tolist()


def test_another_seed_draws_another_probe_from_other_keys():
    corpus = make_world(4, "floats").corpus
    assert choose_probe(corpus, 1, 5).context.tolist() != choose_probe(corpus, 2, 5).context.tolist()
    everything = np.arange(corpus.n_contexts)
    keys = context_keys(corpus, everything, 1)
    assert len(set(keys.tolist())) == corpus.n_contexts
    plain = hash_arrays(1, corpus.document_key[corpus.context_document], corpus.context_token_offset)
    assert (keys != plain).all()  # or the probe would be correlated with other draws of the same seed


def test_512_contexts_are_the_default():
    corpus = one_token_contexts(600)
    np.testing.assert_array_equal(choose_probe(corpus, 0, 512).context, choose_probe(corpus, 0).context)
    assert 512 == len(choose_probe(corpus, 0).context)


@settings(max_examples=40)
@given(worlds, cuts, st.integers(1, 4))
def test_non_firing_contexts_hold_no_event(world: World, at: list[int], k: int):
    probe = choose_probe(world.corpus, 0, 15)
    for features in (range(world.n_features), range(1, 3)):
        aggregate = ProbeFires(len(features), probe)
        fold(world.cut(at, features), world.corpus, aggregate)
        fires = aggregate.result()
        chosen = choose_non_firing(probe, fires, world.first + features.start, k)
        assert (len(features), 2, k) == chosen.shape
        for row, f in enumerate(features):
            own = world.contexts(f)
            assert [c in own for c in probe.context.tolist()] == fires[row].tolist()
            for split in (0, 1):
                silent = [
                    (int(hash_arrays(0, world.first + f, probe.key[i])), int(probe.slot[i]))
                    for i, c in enumerate(probe.context.tolist())
                    if c not in own and world.split(c) == split
                ]
                expected = [slot for _, slot in sorted(silent)][:k]
                assert [*expected, *[-1] * (k - len(expected))] == chosen[row, split].tolist()


def test_a_result_does_not_change_when_more_is_added():
    world = make_world(5, "one value")
    aggregate = ProbeFires(world.n_features, choose_probe(world.corpus, 0, 30))
    first = aggregate.result()
    fold(world.cut([]), world.corpus, aggregate)
    assert not first.any()
    assert aggregate.result().any()


def test_a_probe_in_which_everything_fires_has_no_non_firing_contexts():
    probe = choose_probe(make_world(5, "floats").corpus, 0, 10)
    assert (choose_non_firing(probe, np.ones((3, 10), dtype=bool), 0, 4) == -1).all()
