"""Which tokens a feature fires on: the exact table of (feature, token id), and the tokens worth showing first.

Tokens are keyed by id, never by decoded string. The table is held as sorted runs that are merged like the digits of a
binary counter, so each row is moved O(log n_chunks) times.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.core.intervals import wilson_low
from featlas.core.segments import argsort_within, descending, first_argmax, rank_in_run, run_starts
from featlas.domain import Split, TokenRows


@dataclass(frozen=True)
class _Run:
    """Rows sorted by key = local feature · n_vocab + token id, one per key."""

    key: NDArray[np.int64]
    n_fires: NDArray[np.int64]
    n_fires_score: NDArray[np.int64]
    sum: NDArray[np.float64]
    sum_score: NDArray[np.float64]
    max: NDArray[np.float32]


def _reduce(rows: _Run) -> _Run:
    """Rows with repeated keys → one row per key; of equal magnitudes the max that came first stays."""
    if len(rows.key) == 0:
        return rows
    order = np.argsort(rows.key, kind="stable")
    key = rows.key[order]
    starts = run_starts(key)
    peak = rows.max[order]
    summed = {
        name: np.add.reduceat(getattr(rows, name)[order], starts)
        for name in ("n_fires", "n_fires_score", "sum", "sum_score")
    }
    return _Run(key=key[starts], max=peak[first_argmax(np.abs(peak), starts)], **summed)


def _merge(first: _Run, second: _Run) -> _Run:
    joined = {f.name: np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in fields(_Run)}
    return _reduce(_Run(**joined))


class TokenTable:
    """Folds the token table of the features first_feature … first_feature + n − 1."""

    def __init__(self, first_feature: int, n_vocab: int) -> None:
        self._first = first_feature
        self._n_vocab = n_vocab
        self._runs: list[_Run] = []

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in; chunks come in slot order."""
        value = chunk.value
        is_score = np.repeat(chunk.group_split, chunk.group_n_events) == Split.SCORE
        amount = value.astype(np.float64)
        rows = _Run(
            key=chunk.feature * self._n_vocab + chunk.token_id,
            n_fires=np.ones(len(value), dtype=np.int64),
            n_fires_score=is_score.astype(np.int64),
            sum=amount,
            sum_score=np.where(is_score, amount, 0.0),
            max=value,
        )
        self._runs.append(_reduce(rows))
        while len(self._runs) > 1 and len(self._runs[-2].key) <= 2 * len(self._runs[-1].key):
            last = self._runs.pop()
            self._runs.append(_merge(self._runs.pop(), last))

    def result(self) -> TokenRows:
        """All rows, sorted by feature and token id."""
        none = np.zeros(0, dtype=np.int64)
        total = _Run(none, none, none, none.astype(np.float64), none.astype(np.float64), none.astype(np.float32))
        for run in reversed(self._runs):
            total = _merge(run, total)
        return TokenRows(
            feature_index=(self._first + total.key // self._n_vocab).astype(np.uint32),
            token_id=(total.key % self._n_vocab).astype(np.uint32),
            n_fires=total.n_fires,
            n_fires_score_split=total.n_fires_score,
            sum=total.sum,
            sum_score_split=total.sum_score,
            max=total.max,
        )


def take_rows(rows: TokenRows, index: NDArray) -> TokenRows:
    """The chosen rows, by index or mask."""
    return TokenRows(**{f.name: getattr(rows, f.name)[index] for f in fields(TokenRows)})


def select_top_tokens(rows: TokenRows, n_occurrences: NDArray[np.int64], k: int) -> TokenRows:
    """The rows among their feature's k first by n_fires, by Wilson's lower bound of P(fires given token) or by |max|.

    `n_occurrences` [n_vocab] counts each token at counted positions. Each ranking is descending (the bound to 2^-32)
    with ties by token id; the result is their union, up to 3·k rows per feature, sorted by feature and token id like
    `rows`.
    """
    feature = rows.feature_index.astype(np.int64)
    if len(feature) == 0:
        return rows
    segment = feature - feature[0]
    token = rows.token_id.astype(np.uint64)
    low = np.round(wilson_low(rows.n_fires, n_occurrences[rows.token_id]) * 2.0**32)
    size = np.abs(rows.max).view(np.uint32)  # the bits of non-negative floats ascend as they do
    is_chosen = np.zeros(len(feature), dtype=bool)
    for measure in (rows.n_fires, low, size):
        order = argsort_within(segment, descending(measure), token)
        place = rank_in_run(run_starts(segment[order]), len(order))
        is_chosen[order[place < k]] = True
    return take_rows(rows, is_chosen)


def split_n_fires(rows: TokenRows, split: Split) -> NDArray[np.int64]:
    """n_fires of each row within one split."""
    return rows.n_fires_score_split if split == Split.SCORE else rows.n_fires - rows.n_fires_score_split


def commonest_tokens(rows: TokenRows, first_feature: int, n_features: int, split: Split, k: int) -> NDArray[np.int64]:
    """The k tokens on which each feature fires most often within one split, ties by token id.

    Shape [n_features, k], −1 where a feature fires on fewer tokens.
    """
    n_fires = split_n_fires(rows, split)
    rows, n_fires = take_rows(rows, n_fires > 0), n_fires[n_fires > 0]
    segment = rows.feature_index.astype(np.int64) - first_feature
    order = argsort_within(segment, descending(n_fires), rows.token_id.astype(np.uint64))
    segment = segment[order]
    place = rank_in_run(run_starts(segment), len(order))
    out = np.full((n_features, k), -1, dtype=np.int64)
    is_listed = place < k
    out[segment[is_listed], place[is_listed]] = rows.token_id[order[is_listed]]
    return out
