"""What the statistics of every feature need to know of the corpus, counted once per run: totals, probe, token index."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.near_miss import TokenContexts, index_token_contexts
from featlas.core.positions import N_BUCKETS, position_buckets
from featlas.core.probe import Probe, choose_probe
from featlas.core.windows import counted_slots, read_context_ranges
from featlas.domain import N_GROUPS, Split


@dataclass(frozen=True)
class CorpusTotals:
    """Counted positions: in all, by jackknife group [16], by split and position bucket [2, N_BUCKETS], by split and
    token [2, n_vocab].

    `n_documents` counts the documents that a context belongs to, the ones in which a feature can fire: packed, a short
    document may lie in contexts of others only.
    """

    n_documents: int
    n_tokens: int
    group_n_tokens: NDArray[np.int64]
    bucket_n_tokens: NDArray[np.int64]
    n_occurrences: NDArray[np.int64]


@dataclass(frozen=True)
class CorpusIndex:
    """Totals, the probe contexts and the token → contexts index of one corpus."""

    totals: CorpusTotals
    probe: Probe
    token_contexts: TokenContexts


def count_totals(corpus: CorpusArrays, n_slots: int = 1 << 18) -> CorpusTotals:
    """Read the corpus once, n_slots at a time, and count its counted positions in every way that is needed."""
    by_group = np.zeros(N_GROUPS, dtype=np.int64)
    by_bucket = np.zeros(2 * N_BUCKETS, dtype=np.int64)
    by_token = np.zeros(2 * corpus.n_vocab, dtype=np.int64)
    has_context = np.zeros(corpus.n_documents, dtype=bool)
    for first, end in read_context_ranges(corpus, n_slots):
        has_context[corpus.context_document[first:end]] = True
        slot = counted_slots(corpus, first, end)
        context = corpus.context_of_slot[slot]
        document = corpus.context_document[context]
        by_group += np.bincount(corpus.document_group[document], minlength=N_GROUPS)
        split = corpus.document_split[document].astype(np.int64)
        bucket = split * N_BUCKETS + position_buckets(slot - corpus.context_slot[context])
        by_bucket += np.bincount(bucket, minlength=2 * N_BUCKETS)
        row = split * corpus.n_vocab + corpus.token_ids[slot]
        by_token += np.bincount(row, minlength=2 * corpus.n_vocab)
    return CorpusTotals(
        n_documents=int(has_context.sum()),
        n_tokens=int(by_group.sum()),
        group_n_tokens=by_group,
        bucket_n_tokens=by_bucket.reshape(len(Split), N_BUCKETS),
        n_occurrences=by_token.reshape(2, corpus.n_vocab),
    )


def index_corpus(corpus: CorpusArrays, seed: int, n_probe: int = 512, n_per_token: int = 64) -> CorpusIndex:
    """Read the corpus a few times, in bounded memory, and build its index; the same seed gives the same index."""
    totals = count_totals(corpus)
    return CorpusIndex(
        totals=totals,
        probe=choose_probe(corpus, seed, n_probe),
        token_contexts=index_token_contexts(corpus, seed, totals.n_occurrences, n_per_token),
    )
