"""Windows of tokens around a peak, hashed, so that repeated text is shown once and said how often it occurs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import splitmix64
from featlas.domain import Cause

REACH = 8
"""A window is the token and up to this many on either side, clipped at the edges of its context."""

_OFFSETS = range(-REACH, REACH + 1)
_FACTORS = splitmix64(np.arange(len(_OFFSETS), dtype=np.uint64)) | np.uint64(1)
_FILTER_BITS = 22


def window_hashes(corpus: CorpusArrays, slot: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 64-bit hash of the window around each slot (slots of contexts, not gaps). Shape as `slot`.

    Two windows are equal when the same tokens stand at the same offsets from the middle, edges of the context included.
    Multilinear over the integers modulo 2^64 (odd factors on hashed tokens), so different windows collide with
    probability of about 2^-64.
    """
    slot = np.asarray(slot, dtype=np.int64)
    context = corpus.context_of_slot[slot]
    first = corpus.context_slot[context]
    last = first + corpus.context_n[context] - 1
    hash_of = np.zeros(corpus.n_vocab + 1, dtype=np.uint64)  # its last entry, 0, stands for "outside the context"
    hash_of[:-1] = splitmix64(np.arange(corpus.n_vocab, dtype=np.uint64))
    total = np.zeros(len(slot), dtype=np.uint64)
    for offset, factor in zip(_OFFSETS, _FACTORS, strict=True):
        at = slot + offset
        is_inside = (at >= first) & (at <= last)
        token = np.where(is_inside, corpus.token_ids[np.clip(at, first, last)], corpus.n_vocab)
        total += hash_of[token] * factor
    return splitmix64(total)


def read_context_ranges(corpus: CorpusArrays, n_slots: int) -> Iterator[tuple[int, int]]:
    """Ranges [first, end) of contexts that span about n_slots slots each (at least one context), covering all."""
    first = 0
    while first < corpus.n_contexts:
        limit = int(corpus.context_slot[first]) + n_slots
        end = int(np.searchsorted(corpus.context_slot, limit, side="left"))
        end = max(end, first + 1)
        yield first, end
        first = end


def counted_slots(corpus: CorpusArrays, first_context: int, end_context: int) -> NDArray[np.int64]:
    """The slots of the contexts [first_context, end_context) whose position counts, ascending."""
    last = end_context - 1
    start = int(corpus.context_slot[first_context])
    end = int(corpus.context_slot[last]) + int(corpus.context_n[last])
    is_counted = np.asarray(corpus.cause[start:end]) == Cause.COUNTED
    is_token = np.asarray(corpus.context_of_slot[start:end]) < corpus.n_contexts
    return start + np.flatnonzero(is_counted & is_token)


@dataclass(frozen=True)
class WindowCounts:
    """How often each of some windows occurs at counted positions of the corpus; `hashes` ascend."""

    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]

    def fetch(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The count of each given window; 0 for one that was not asked for in the scan."""
        if len(self.hashes) == 0:
            return np.zeros(len(hashes), dtype=np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, self.counts[at], 0)


def count_windows(corpus: CorpusArrays, hashes: NDArray[np.uint64], n_slots: int = 1 << 18) -> WindowCounts:
    """Read the whole corpus once, n_slots at a time, and count how often each of the given windows occurs."""
    wanted = np.unique(np.asarray(hashes, dtype=np.uint64))
    counts = np.zeros(len(wanted), dtype=np.int64)
    shift = np.uint64(64 - _FILTER_BITS)
    may_be_wanted = np.zeros(1 << _FILTER_BITS, dtype=bool)  # most windows are turned away by one look-up
    may_be_wanted[wanted >> shift] = True
    for first, end in read_context_ranges(corpus, n_slots):
        seen = window_hashes(corpus, counted_slots(corpus, first, end))
        seen = seen[may_be_wanted[seen >> shift]]
        at = np.searchsorted(wanted, seen)
        is_hit = at < len(wanted)
        is_hit[is_hit] = wanted[at[is_hit]] == seen[is_hit]
        counts += np.bincount(at[is_hit], minlength=len(wanted))
    return WindowCounts(wanted, counts)
