"""Contexts that hold a token a feature fires on, and yet the feature is silent all through them.

A near miss shows what a label must *not* claim. The index is built once per corpus; a feature's candidates are
published only after a second reading of its events has found none of them in the context.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays
from featlas.core.ranked_lists import RankedLists, Rows
from featlas.core.segments import argsort_within, concat_ranges, rank_in_run, run_starts
from featlas.core.token_table import commonest_tokens
from featlas.core.windows import counted_slots, read_context_ranges
from featlas.domain import Split, TokenRows


@dataclass(frozen=True)
class TokenContexts:
    """For every token and split the contexts with the smallest keys that hold the token at a counted position.

    List `token_id · 2 + split` is `slot[indptr[i]:indptr[i + 1]]`, smallest key first; a slot is the token's first
    counted place in the context. Slots are of the smallest unsigned type that holds them: a vocabulary has millions.
    """

    indptr: NDArray[np.int64]
    slot: NDArray[np.unsignedinteger]


def index_token_contexts(
    corpus: CorpusArrays,
    seed: int,
    n_occurrences: NDArray[np.int64],
    n_per_token: int = 64,
    n_slots: int = 1 << 16,
    most_rows: int = 1 << 17,
) -> TokenContexts:
    """Read the corpus, n_slots at a time, once for every so many tokens as fill `most_rows` rows.

    So a few MB compete at a time, whatever the corpus and the vocabulary. The key is a hash of token, document and
    offset of the context. `n_occurrences` [2, n_vocab] counts the tokens by split, as `CorpusTotals` does.
    """
    longest = np.minimum(n_occurrences, n_per_token).sum(axis=0)
    part_of_token = (np.cumsum(longest) - longest) // most_rows  # ascending, so that parts are ranges of tokens
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(part_of_token)) + 1, [corpus.n_vocab]])
    slot_type = np.min_scalar_type(len(corpus.token_ids))
    n_rows, slots = [np.zeros(1, dtype=np.int64)], [np.zeros(0, dtype=slot_type)]
    for first, end in pairwise(bounds.tolist()):
        rows = _list_contexts(corpus, seed, range(first, end), n_per_token, n_slots)
        n_rows.append(np.bincount(rows.segment, minlength=2 * (end - first)))
        slots.append(rows.slot.astype(slot_type))
    return TokenContexts(np.cumsum(np.concatenate(n_rows)), np.concatenate(slots))


def _list_contexts(corpus: CorpusArrays, seed: int, tokens: range, n_per_token: int, n_slots: int) -> Rows:
    """The lists of these tokens, two for each, in the order of the tokens."""
    lists = RankedLists(2 * len(tokens), n_per_token)
    for first, end in read_context_ranges(corpus, n_slots):
        slot = counted_slots(corpus, first, end)
        token = corpus.token_ids[slot].astype(np.int64)
        is_wanted = (token >= tokens.start) & (token < tokens.stop)
        slot, token = slot[is_wanted], token[is_wanted]
        context = corpus.context_of_slot[slot].astype(np.int64)
        order = np.argsort(token * (end - first) + (context - first), kind="stable")
        is_first = order[run_starts(token[order], context[order])]
        slot, token, context = slot[is_first], token[is_first], context[is_first]
        document = corpus.context_document[context]
        key = hash_arrays(seed, token, corpus.document_key[document], corpus.context_token_offset[context])
        lists.add(Rows((token - tokens.start) * 2 + corpus.document_split[document], key, slot))
    return lists.rows()


@dataclass(frozen=True)
class Candidates:
    """Possible near misses of n features: rows sorted by feature, split, token's place and key."""

    feature: NDArray[np.int64]  # local
    split: NDArray[np.int64]
    token_place: NDArray[np.int64]  # 0 = the token the feature fires on most
    slot: NDArray[np.int64]

    def take(self, index: NDArray) -> "Candidates":
        """The chosen rows, by index or mask."""
        return Candidates(self.feature[index], self.split[index], self.token_place[index], self.slot[index])


def find_candidates(
    rows: TokenRows, index: TokenContexts, first_feature: int, n_features: int, n_tokens: int = 5
) -> Candidates:
    """The indexed contexts of each feature's n_tokens commonest firing tokens, each split by its own counts only."""
    tokens = np.stack([commonest_tokens(rows, first_feature, n_features, split, n_tokens) for split in Split], axis=1)
    feature, split, place = np.nonzero(tokens >= 0)
    at = tokens[feature, split, place] * 2 + split
    length = index.indptr[at + 1] - index.indptr[at]
    repeated = np.repeat(np.arange(len(at)), length)
    slot = index.slot[concat_ranges(index.indptr[at], length)].astype(np.int64)
    return Candidates(feature[repeated], split[repeated], place[repeated], slot)


def choose_near_misses(
    silent: Candidates, corpus: CorpusArrays, n_features: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """k near misses per feature and split [n, 2, k], as slots of the token (−1: fewer), and how many there were [n].

    `silent` are the candidates in whose context the feature has no event. Tokens take turns: first every token's first
    context, commonest token first, then every token's second, …; a context is listed once.
    """
    n = len(silent.slot)
    rank = rank_in_run(run_starts(silent.feature, silent.split, silent.token_place), n)
    segment = silent.feature * 2 + silent.split
    order = argsort_within(segment, rank.astype(np.uint64), silent.token_place.astype(np.uint64))
    context = corpus.context_of_slot[silent.slot].astype(np.int64)
    by_context = order[argsort_within(segment[order], context[order].astype(np.uint64))]
    is_first = np.zeros(n, dtype=bool)
    is_first[by_context[run_starts(segment[by_context], context[by_context])]] = True
    order = order[is_first[order]]
    segment = segment[order]
    place = rank_in_run(run_starts(segment), len(segment))
    out = np.full((2 * n_features, k), -1, dtype=np.int64)
    is_listed = place < k
    out[segment[is_listed], place[is_listed]] = silent.slot[order[is_listed]]
    n_found = np.bincount(segment, minlength=2 * n_features).reshape(n_features, 2).sum(axis=1)
    return out.reshape(n_features, 2, k), n_found
