from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import statistics
from tests.oracles.worlds import World, make_corpus, worlds

from featlas.core.windows import (
    WindowCounts,
    count_windows,
    counted_slots,
    read_context_ranges,
    window_hashes,
)


def token_slots(corpus) -> np.ndarray:
    return np.flatnonzero(corpus.context_of_slot < corpus.n_contexts)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([3, 11, 40]))
def test_hashes_are_equal_where_windows_are_equal(seed: int, ctx_len: int):
    corpus = make_corpus(seed, ctx_len=ctx_len)
    slots = token_slots(corpus)
    hashes = window_hashes(corpus, slots)
    windows = [statistics.window(corpus, int(slot)) for slot in slots]
    by_window: dict[tuple[int, ...], set[int]] = {}
    for window, value in zip(windows, hashes.tolist(), strict=True):
        by_window.setdefault(window, set()).add(value)
    assert all(len(values) == 1 for values in by_window.values())
    assert len(set(hashes.tolist())) == len(by_window)


def test_a_window_reaches_eight_tokens_to_either_side():
    corpus = make_corpus(1, ctx_len=60)
    context = int(np.argmax(corpus.context_n))
    middle = int(corpus.context_slot[context]) + 20
    before = window_hashes(corpus, np.array([middle]))
    for distance in (-9, -8, -1, 0, 1, 8, 9):
        changed = make_corpus(1, ctx_len=60)
        changed.token_ids[middle + distance] = (changed.token_ids[middle + distance] + 1) % 7
        assert (window_hashes(changed, np.array([middle])) != before).all() == (abs(distance) <= 8)


def test_hashes_do_not_depend_on_which_slots_are_asked_for():
    corpus = make_corpus(2)
    slots = token_slots(corpus)
    np.testing.assert_array_equal(window_hashes(corpus, slots)[::-3], window_hashes(corpus, slots[::-3]))


@given(st.integers(0, 10_000), st.integers(1, 200))
def test_ranges_cover_all_contexts_in_order_and_keep_to_the_size(seed: int, n_slots: int):
    corpus = make_corpus(seed)
    ranges = list(read_context_ranges(corpus, n_slots))
    assert [c for first, end in ranges for c in range(first, end)] == list(range(corpus.n_contexts))
    for first, end in ranges:
        spans = corpus.context_slot[first:end] - corpus.context_slot[first] < n_slots
        assert spans.all()
        assert end == corpus.n_contexts or corpus.context_slot[end] - corpus.context_slot[first] >= n_slots


@settings(max_examples=40)
@given(worlds)
def test_counted_slots_are_the_oracles(world: World):
    n = world.corpus.n_contexts
    assert world.counted() == counted_slots(world.corpus, 0, n).tolist()
    half = n // 2
    parts = [*counted_slots(world.corpus, 0, half + 1).tolist(), *counted_slots(world.corpus, half + 1, n).tolist()]
    assert half + 1 == n or world.counted() == parts


@settings(max_examples=40)
@given(worlds, st.sampled_from([1, 50, 1 << 20]), st.randoms(use_true_random=False))
def test_any_reading_counts_how_often_each_window_occurs(world: World, n_slots: int, random):
    corpus = world.corpus
    occurs = Counter(statistics.window(corpus, slot) for slot in world.counted())
    asked = np.array(random.sample(token_slots(corpus).tolist(), k=min(20, len(token_slots(corpus)))))
    hashes = window_hashes(corpus, asked)
    counts = count_windows(corpus, hashes, n_slots)
    assert [occurs[statistics.window(corpus, int(slot))] for slot in asked] == counts.fetch(hashes).tolist()
    assert (np.diff(counts.hashes.astype(object)) > 0).all()


def test_a_window_that_was_not_asked_for_has_no_count():
    counts = WindowCounts(np.array([3, 9], dtype=np.uint64), np.array([1, 2]))
    assert [0, 1, 0, 2, 0] == counts.fetch(np.array([2, 3, 5, 9, 2**64 - 1], dtype=np.uint64)).tolist()


def test_no_windows_have_no_counts():
    counts = count_windows(make_corpus(2), np.zeros(0, dtype=np.uint64))
    assert 0 == len(counts.counts)
    assert [0, 0] == counts.fetch(np.array([2, 3], dtype=np.uint64)).tolist()
