from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.builders.plain_corpus import one_token_contexts
from tests.oracles.worlds import VOCAB, World, make_world, worlds
from tests.unit.core.test_token_table import describe as token_rows
from tests.unit.core.test_token_table import table_of

from featlas.core.corpus import CorpusArrays
from featlas.core.corpus_index import count_totals
from featlas.core.hashing import hash_arrays
from featlas.core.near_miss import (
    Candidates,
    TokenContexts,
    choose_near_misses,
    find_candidates,
    index_token_contexts,
)
from featlas.domain import Split


def occurrences(corpus: CorpusArrays) -> NDArray[np.int64]:
    return count_totals(corpus).n_occurrences


def index_oracle(world: World, seed: int, n: int) -> list[list[int]]:
    c = world.corpus
    first_place: dict[tuple[int, int], int] = {}
    for slot in world.counted():
        first_place.setdefault((int(c.token_ids[slot]), int(c.context_of_slot[slot])), slot)
    lists: list[list[tuple[int, int]]] = [[] for _ in range(2 * VOCAB)]
    for (token, context), slot in first_place.items():
        key = hash_arrays(seed, token, c.document_key[world.document(context)], c.context_token_offset[context])
        lists[2 * token + world.split(context)].append((int(key), slot))
    return [[slot for _, slot in sorted(rows)[:n]] for rows in lists]


@settings(max_examples=40)
@given(worlds, st.sampled_from([1, 60, 1 << 20]), st.sampled_from([2, 64]), st.sampled_from([1, 5, 1 << 17]))
def test_any_reading_indexes_the_contexts_with_the_smallest_keys(world: World, n_slots: int, n: int, most_rows: int):
    index = index_token_contexts(world.corpus, 9, occurrences(world.corpus), n, n_slots, most_rows)
    lists = [index.slot[a:b].tolist() for a, b in zip(index.indptr[:-1], index.indptr[1:], strict=True)]
    assert index_oracle(world, 9, n) == lists


@settings(max_examples=40)
@given(worlds, st.integers(1, 5))
def test_candidates_are_the_contexts_of_the_commonest_tokens(world: World, n_tokens: int):
    index = index_token_contexts(world.corpus, 0, occurrences(world.corpus), 4)
    rows = token_rows(world, [], range(world.n_features))
    found = find_candidates(rows, index, world.first, world.n_features, n_tokens)
    expected, lists = [], index_oracle(world, 0, 4)
    for f in range(world.n_features):
        for split in (0, 1):
            slots = [s for s, _ in world.rows(f) if world.split(int(world.corpus.context_of_slot[s])) == split]
            counts = Counter(int(world.corpus.token_ids[s]) for s in slots)
            tokens = sorted(counts, key=lambda t: (-counts[t], t))[:n_tokens]
            for place, token in enumerate(tokens):
                expected += [(f, split, place, slot) for slot in lists[2 * token + split]]
    assert expected == list(zip(found.feature, found.split, found.token_place, found.slot, strict=True))


@pytest.mark.parametrize(("n_contexts", "expected"), [(50, np.uint8), (600, np.uint16)])
def test_slots_are_of_the_smallest_type(n_contexts: int, expected: type):
    corpus = one_token_contexts(n_contexts)
    assert expected == index_token_contexts(corpus, 0, occurrences(corpus)).slot.dtype


def test_five_tokens_and_64_contexts_are_the_defaults():
    corpus = one_token_contexts(600)
    assert 64 == len(index_token_contexts(corpus, 0, occurrences(corpus)).slot)
    rows = table_of([(0, token, 9 - token, 0) for token in range(7)])
    index = TokenContexts(np.arange(15), np.arange(14) * 10)
    assert [0, 20, 40, 60, 80] == find_candidates(rows, index, 0, 1).slot.tolist()


@settings(max_examples=40)
@given(worlds, st.integers(1, 4), st.randoms(use_true_random=False))
def test_tokens_take_turns_and_a_context_is_listed_once(world: World, k: int, random):
    index = index_token_contexts(world.corpus, 0, occurrences(world.corpus), 6)
    rows = token_rows(world, [], range(world.n_features))
    every = find_candidates(rows, index, world.first, world.n_features)
    silent = every.take(np.array([random.random() < 0.7 for _ in every.slot], dtype=bool))
    chosen, n_found = choose_near_misses(silent, world.corpus, world.n_features, k)
    for f in range(world.n_features):
        n = 0
        for split in Split:
            queues = [
                silent.slot[(silent.feature == f) & (silent.split == split) & (silent.token_place == p)].tolist()
                for p in range(5)
            ]
            order = [queue[turn] for turn in range(6) for queue in queues if turn < len(queue)]
            by_context = {int(world.corpus.context_of_slot[s]): s for s in reversed(order)}
            expected = [s for s in order if by_context[int(world.corpus.context_of_slot[s])] == s][:k]
            assert [*expected, *[-1] * (k - len(expected))] == chosen[f, split].tolist()
            n += len(by_context)
        assert n == n_found[f]
    assert (world.n_features, 2, k) == chosen.shape


def test_no_candidates_leave_empty_lists():
    world = make_world(3, "floats")
    none = np.zeros(0, dtype=np.int64)
    chosen, n_found = choose_near_misses(Candidates(none, none, none, none), world.corpus, 3, 2)
    assert [0, 0, 0] == n_found.tolist()
    assert (chosen == -1).all()
    assert (3, 2, 2) == chosen.shape
