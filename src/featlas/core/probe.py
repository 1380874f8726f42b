"""Contexts in which a feature does not fire: drawn from a fixed, hash-chosen sample of whole contexts, the probe."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays
from featlas.core.ranked_lists import RankedLists, Rows
from featlas.core.segments import argsort_within, rank_in_run, run_starts
from featlas.core.windows import counted_slots, read_context_ranges

_SALT = 0x70726F6265  # keeps the probe's hashes apart from other choices made with the same seed


@dataclass(frozen=True)
class Probe:
    """The sampled contexts, ascending, and the slot of one counted position in each, chosen by hash."""

    context: NDArray[np.int64]
    slot: NDArray[np.int64]
    key: NDArray[np.uint64]
    split: NDArray[np.int64]


def choose_probe(corpus: CorpusArrays, seed: int, n_contexts: int = 512) -> Probe:
    """The n_contexts contexts (all, if fewer) with the smallest key among those with a counted position."""
    lists = RankedLists(1, n_contexts)
    for first, end in read_context_ranges(corpus, 1 << 18):
        slot = counted_slots(corpus, first, end)
        owner = corpus.context_of_slot[slot].astype(np.int64)
        starts = run_starts(owner)
        context = owner[starts]
        key = context_keys(corpus, context, seed)
        n_counted = np.diff(starts, append=len(slot)).astype(np.uint64)
        chosen = slot[starts + (key % np.maximum(n_counted, 1)).astype(np.int64)]
        lists.add(Rows(np.zeros(len(key), dtype=np.int64), key, chosen))
    slot = np.sort(lists.rows().slot)
    context = corpus.context_of_slot[slot].astype(np.int64)
    split = corpus.document_split[corpus.context_document[context]].astype(np.int64)
    return Probe(context, slot, context_keys(corpus, context, seed), split)


def context_keys(corpus: CorpusArrays, context: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """The key by which contexts are drawn for the probe."""
    document_key = corpus.document_key[corpus.context_document[context]]
    return hash_arrays(seed ^ _SALT, document_key, corpus.context_token_offset[context])


class ProbeFires:
    """Folds which probe contexts each of n features fires in."""

    def __init__(self, n_features: int, probe: Probe) -> None:
        self._probe = probe
        self._fires = np.zeros((n_features, len(probe.context)), dtype=bool)

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        contexts = self._probe.context
        at = np.searchsorted(contexts, chunk.group_context)
        is_probe = at < len(contexts)
        is_probe[is_probe] = contexts[at[is_probe]] == chunk.group_context[is_probe]
        self._fires[chunk.group_feature[is_probe], at[is_probe]] = True

    def result(self) -> NDArray[np.bool_]:
        """Whether a feature has an event in a probe context. Shape [n, n_probe]."""
        return self._fires.copy()


def choose_non_firing(probe: Probe, fires: NDArray[np.bool_], first_feature: int, k: int) -> NDArray[np.int64]:
    """k probe contexts per feature and split without an event, smallest hash of (feature, context) first.

    Shape [n, 2, k], as slots of the probe's counted positions; −1 where there are fewer.
    """
    n = len(fires)
    out = np.full((2 * n, k), -1, dtype=np.int64)
    feature, at = np.nonzero(~fires)
    key = hash_arrays(0, first_feature + feature, probe.key[at])
    segment = feature * 2 + probe.split[at]
    order = argsort_within(segment, key, probe.slot[at].astype(np.uint64))
    segment = segment[order]
    place = rank_in_run(run_starts(segment), len(segment))
    is_listed = place < k
    out[segment[is_listed], place[is_listed]] = probe.slot[at[order[is_listed]]]
    return out.reshape(n, 2, k)
