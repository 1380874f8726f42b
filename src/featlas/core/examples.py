"""Chooses which contexts show a feature: its strongest, a fair sample of all that fire, and a few from every octave.

Every choice is made by value and by a *key*, hash_arrays(seed, feature, document_key, token_offset), which belongs to
the (feature, context) pair and to nothing else, so that neither the order of reading nor a cut into parts changes it.
A context is listed by the slot of its peak.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays, splitmix64
from featlas.core.histogram import N_OCTAVES, octave_columns
from featlas.core.ranked_lists import RankedLists, Rows
from featlas.core.segments import argsort_within, rank_in_run, run_starts, scatter_rows
from featlas.core.windows import window_hashes

_SHORT = np.uint64(32)


@dataclass(frozen=True)
class ExampleOptions:
    """How many examples are listed, per feature and split."""

    seed: int = 0
    n_candidates: int = 48
    n_uniform: int = 48
    n_octave: int = 6


@dataclass(frozen=True)
class ExampleLists:
    """The lists of n features, as slots of peaks, −1 where a list is shorter; split is `domain.Split`.

    `by_document` and `by_window` [n, 2, n_candidates] hold the strongest contexts with distinct documents (windows);
    `uniform` [n, 2, n_uniform] the firing contexts with the smallest keys; `octaves` [n, 2, N_OCTAVES, n_octave] the
    same within each octave of the peak. `top_rows` are the rows of the first two lists joined, for `choose_top`.
    """

    by_document: NDArray[np.int64]
    by_window: NDArray[np.int64]
    uniform: NDArray[np.int64]
    octaves: NDArray[np.int64]
    top_rows: Rows


def peak_ranks(peak: NDArray[np.float32], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Ranks that ascend from the largest |peak| down; equal peaks by the upper 32 bits of the key."""
    bits = np.ascontiguousarray(np.abs(peak), dtype=np.float32).view(np.uint32)
    return ((~bits).astype(np.uint64) << _SHORT) | (key >> _SHORT)


class Examples:
    """Folds the example lists of the features first_feature … first_feature + n − 1.

    Order of the strongest: |peak| descending, then the upper 32 bits of the key, then the slot. Order of the others:
    key, then slot. Each of the lists has one identity (a document, a window, or none), which is what makes it exact
    under any cut: removing duplicates by two identities at once could drop a row that a later one makes welcome
    again.
    """

    def __init__(self, first_feature: int, n_features: int, options: ExampleOptions) -> None:
        self._first = first_feature
        self._n = n_features
        self._seed = options.seed
        self._octave_k = options.n_octave
        self._by_document = RankedLists(2 * n_features, options.n_candidates, is_distinct=True)
        self._by_window = RankedLists(2 * n_features, options.n_candidates, is_distinct=True)
        self._uniform = RankedLists(2 * n_features, options.n_uniform)
        self._octaves = RankedLists(2 * n_features * N_OCTAVES, options.n_octave)

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        corpus, context = chunk.corpus, chunk.group_context
        document_key = corpus.document_key[chunk.group_document]
        feature = self._first + chunk.group_feature
        key = hash_arrays(self._seed, feature, document_key, corpus.context_token_offset[context])
        segment = chunk.group_feature * 2 + chunk.group_split
        self._uniform.add(Rows(segment, key, chunk.group_peak_slot))
        octave_segment = segment * N_OCTAVES + octave_columns(chunk.group_peak)
        self._octaves.add(Rows(octave_segment, key, chunk.group_peak_slot))
        rank = peak_ranks(chunk.group_peak, key)
        self._add_documents(chunk, segment, rank)
        self._add_windows(chunk, segment, rank)

    def _add_documents(self, chunk: Chunk, segment: NDArray[np.int64], rank: NDArray[np.uint64]) -> None:
        # The groups of a document lie together, so its best is found without a sort; `same` is a bijection of its
        # index.
        starts = run_starts(chunk.group_feature, chunk.group_document)
        if len(starts) == 0:
            return
        lowest = np.minimum.reduceat(rank, starts)
        run = np.cumsum(np.bincount(starts, minlength=len(rank))) - 1
        hits = np.flatnonzero(rank == lowest[run])
        best = hits[run_starts(run[hits])]
        same = splitmix64(chunk.group_document[best].astype(np.uint64))
        self._by_document.add(Rows(segment[best], rank[best], chunk.group_peak_slot[best], same))

    def _add_windows(self, chunk: Chunk, segment: NDArray[np.int64], rank: NDArray[np.uint64]) -> None:
        may_enter = np.flatnonzero(self._by_window.may_enter(segment, rank))
        slot = chunk.group_peak_slot[may_enter]
        same = _hash_windows_once(chunk.corpus, slot)
        self._by_window.add(Rows(segment[may_enter], rank[may_enter], slot, same))

    def result(self) -> ExampleLists:
        """The lists so far."""
        shape = (self._n, 2, -1)
        octaves = self._octaves.table().reshape(self._n, 2, N_OCTAVES, self._octave_k)
        return ExampleLists(
            by_document=self._by_document.table().reshape(shape),
            by_window=self._by_window.table().reshape(shape),
            uniform=self._uniform.table().reshape(shape),
            octaves=octaves,
            top_rows=self._by_document.rows().join(self._by_window.rows()),
        )


def _hash_windows_once(corpus: CorpusArrays, slot: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Window hashes of slots that repeat a lot and lie close together: each distinct slot is hashed once."""
    if len(slot) == 0:
        return np.zeros(0, dtype=np.uint64)
    first = int(slot.min())
    is_used = np.zeros(int(slot.max()) - first + 1, dtype=bool)
    is_used[slot - first] = True
    used = np.flatnonzero(is_used)
    hash_at = np.zeros(len(is_used), dtype=np.uint64)
    hash_at[used] = window_hashes(corpus, first + used)
    return hash_at[slot - first]


def choose_top(lists: ExampleLists, corpus: CorpusArrays, n_top: int) -> NDArray[np.int64]:
    """The published strongest contexts, as slots of peaks. Shape [n, 2, n_top], −1 where fewer are published.

    Candidates are the contexts of `by_document` and `by_window`, strongest first. The first walk takes a candidate if
    neither its document nor its window is taken yet; the second walk, if places are left, takes those whose window is
    not taken yet though the document is. A window is never shown twice. The chosen are then listed strongest first.
    """
    n = len(lists.by_document)
    rows = lists.top_rows
    order = argsort_within(rows.segment, rows.rank, rows.slot.astype(np.uint64))
    segment, slot = rows.segment[order], rows.slot[order]
    is_first = np.zeros(len(order), dtype=bool)
    is_first[run_starts(segment, slot)] = True  # a context that is on both lists is one candidate
    segment, slot = segment[is_first], slot[is_first]
    place = rank_in_run(run_starts(segment), len(segment))
    width = int(place.max(initial=-1)) + 1
    table = np.full((2 * n, width), -1, dtype=np.int64)
    scatter_rows(segment, place, slot, table)
    document = np.full(table.shape, -1, dtype=np.int64)
    scatter_rows(segment, place, corpus.context_document[corpus.context_of_slot[slot]].astype(np.int64), document)
    window = np.zeros(table.shape, dtype=np.uint64)
    scatter_rows(segment, place, _hash_windows_once(corpus, slot), window)
    is_taken = _walk(table >= 0, document, window, n_top)
    out = np.full((2 * n, n_top), -1, dtype=np.int64)
    row, column = np.nonzero(is_taken)
    scatter_rows(row, rank_in_run(run_starts(row), len(row)), table[row, column], out)
    return out.reshape(n, 2, n_top)


def _walk(is_there: NDArray, document: NDArray, window: NDArray, n_top: int) -> NDArray[np.bool_]:
    """Which candidates the two walks take; all rows (feature × split) walk at once, one column after another."""
    is_taken = np.zeros(is_there.shape, dtype=bool)
    n_taken = np.zeros(len(is_there), dtype=np.int64)
    for may_share_document in (False, True):
        for column in range(is_there.shape[1]):
            wanted = is_there[:, column] & ~is_taken[:, column] & (n_taken < n_top)
            shares = window == window[:, column, None]
            if not may_share_document:
                shares |= document == document[:, column, None]
            wanted &= ~(shares & is_taken).any(axis=1)
            is_taken[:, column] |= wanted
            n_taken += wanted
    return is_taken
