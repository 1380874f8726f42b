"""How well one word, token or topic explains a feature: what a trained SAE is compared by with random directions.

Whatever is picked as the best of many (token, topic) is picked on the label split and measured on the score split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.core.corpus import CorpusArrays
from featlas.core.segments import argsort_within, first_argmax, run_lengths, run_starts
from featlas.core.token_table import split_n_fires
from featlas.domain import Split, TokenRows


@dataclass(frozen=True)
class ModeShare:
    """The most frequent id of each row and its share, NaN and −1 where there is none. Shapes [n]."""

    share: NDArray[np.float64]
    mode: NDArray[np.int64]


def mode_share(ids: NDArray[np.int64], n_rated: NDArray[np.int64], n_least: int) -> ModeShare:
    """The most frequent non-negative id of each row of [n, k], the smallest on ties, and its count over n_rated [n].

    Rows with n_rated below n_least (≥ 1) are not rated: few examples always look concentrated.
    """
    n, k = ids.shape
    share, mode = np.full(n, np.nan), np.full(n, -1, dtype=np.int64)
    if ids.size == 0:
        return ModeShare(share, mode)
    flat = np.sort(ids, axis=1).ravel()
    row = np.repeat(np.arange(n), k)
    starts = run_starts(row, flat)
    count = np.where(flat[starts] >= 0, run_lengths(starts, len(flat)), 0)
    best = first_argmax(count, run_starts(row[starts]))
    is_rated = n_rated >= n_least
    share[is_rated] = (count[best] / np.maximum(n_rated, 1))[is_rated]
    is_found = is_rated & (count[best] > 0)
    mode[is_found] = flat[starts[best]][is_found]
    return ModeShare(share, mode)


@dataclass(frozen=True)
class TopConcentration:
    """Of a feature's strongest documents, the share with the commonest peak word and with the commonest topic."""

    word: ModeShare
    topic: ModeShare


def word_of_tokens(tokens: Sequence[bytes]) -> NDArray[np.int64]:
    """A number per token, the same for tokens that differ in case and in the spaces around them only.

    To a reader ` Court`, `court` and `COURT` are one word in one meaning; a vocabulary has a token for each spelling.
    Tokens of space alone, and those that are no text of their own, are words of their own. Shape [n_vocab].
    """
    numbers: dict[str | bytes, int] = {}
    return np.array([numbers.setdefault(_folded(token), len(numbers)) for token in tokens], dtype=np.int64)


def _folded(token: bytes) -> str | bytes:
    try:
        return token.decode().strip().casefold() or token
    except UnicodeDecodeError:
        return token


def top_concentration(
    top_documents: NDArray[np.int64],
    corpus: CorpusArrays,
    token_word: NDArray[np.int64],
    document_topic: NDArray[np.int64],
    k: int = 20,
) -> TopConcentration:
    """Concentration of the k strongest documents of each feature.

    `top_documents` [n, ≥ k] are slots of peaks, strongest first (one split of `FeatureDescription.top_documents`);
    `token_word` [n_vocab] numbers the word of each token (`word_of_tokens`); `document_topic` [n_documents] is −1 where
    the topic is unknown, which never counts as the same. Features that fire in fewer than k documents are not rated
    (NaN).
    """
    slot = top_documents[:, :k]
    is_there = slot >= 0
    safe = np.where(is_there, slot, 0)
    word = np.where(is_there, token_word[corpus.token_ids[safe]], -1)
    document = corpus.context_document[np.where(is_there, corpus.context_of_slot[safe], 0)]
    topic = np.where(is_there, document_topic[document], -1)
    n_rated = is_there.sum(axis=1)
    return TopConcentration(mode_share(word, n_rated, k), mode_share(topic, n_rated, k))


def binary_auc(
    n_both: NDArray[np.int64], n_detector: NDArray[np.int64], n_target: NDArray[np.int64], n_total: int
) -> NDArray[np.float64]:
    """AUC of a yes/no detector of a yes/no target: (1 + recall − false positive rate) / 2.

    Of n_total tokens the detector says yes on n_detector, n_target are the target, n_both are both. NaN where all or
    none of the tokens are the target.
    """
    n_rest = n_total - n_target
    exists = (n_target > 0) & (n_rest > 0)
    recall = n_both / np.maximum(n_target, 1)
    false_rate = (n_detector - n_both) / np.maximum(n_rest, 1)
    return np.where(exists, (1 + recall - false_rate) / 2, np.nan)


@dataclass(frozen=True)
class TokenDetectors:
    """The best token of each feature, measured on the score split; NaN and −1 where no token qualifies. Shapes [n].

    `p_fire_given_token` and `p_token_given_fire` are recall and precision of the feature as a detector of the token.
    """

    token_id: NDArray[np.int64]
    auc: NDArray[np.float64]
    p_fire_given_token: NDArray[np.float64]
    p_token_given_fire: NDArray[np.float64]


def find_token_detectors(
    rows: TokenRows,
    features: range,
    n_occurrences: NDArray[np.int64],
    detects: Literal["token", "feature"] = "token",
    n_least: int = 10,
) -> TokenDetectors:
    """For each feature the token with the highest AUC on the label split, and that token's AUC on the score split.

    `detects="token"`: firing detects the token; `"feature"`: the token detects firing. `rows` is the full token table
    of `features`; `n_occurrences` [2, n_vocab] counts tokens by split. Only tokens that occur n_least times or more
    in each split qualify. Ties by token id.
    """
    segment = rows.feature_index.astype(np.int64) - features.start
    auc = {}
    for split in Split:
        n_both = split_n_fires(rows, split)
        n_fires = np.bincount(segment, weights=n_both, minlength=len(features))[segment].astype(np.int64)
        n_token = n_occurrences[split][rows.token_id]
        detector, target = (n_fires, n_token) if detects == "token" else (n_token, n_fires)
        auc[split] = binary_auc(n_both, detector, target, int(n_occurrences[split].sum()))
    qualifies = (n_occurrences[:, rows.token_id] >= n_least).all(axis=0) & ~np.isnan(auc[Split.LABEL])
    starts = run_starts(segment)
    best = first_argmax(np.where(qualifies, auc[Split.LABEL], -1.0), starts)
    best = best[qualifies[best]]
    return _measure(rows, segment, best, auc[Split.SCORE], n_occurrences[Split.SCORE], len(features))


def _measure(
    rows: TokenRows, segment: NDArray, best: NDArray, auc: NDArray, n_occurrences: NDArray, n: int
) -> TokenDetectors:
    n_both = rows.n_fires_score_split[best]
    n_fires = np.bincount(segment, weights=rows.n_fires_score_split, minlength=n)[segment[best]]
    out = TokenDetectors(np.full(n, -1, dtype=np.int64), np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan))
    at = segment[best]
    out.token_id[at] = rows.token_id[best]
    out.auc[at] = auc[best]
    out.p_fire_given_token[at] = n_both / n_occurrences[rows.token_id[best]]
    out.p_token_given_fire[at] = np.where(n_fires > 0, n_both / np.maximum(n_fires, 1), np.nan)
    return out


@dataclass(frozen=True)
class DocumentPeakRows:
    """|peak| of every (local feature, document) with an event, sorted by both."""

    feature: NDArray[np.int64]
    document: NDArray[np.int64]
    size: NDArray[np.float32]


class DocumentPeaks:
    """Folds the largest magnitude of each feature in each document; grows with the documents fired, for evaluation."""

    def __init__(self) -> None:
        none = np.zeros(0, dtype=np.int64)
        self._parts = [DocumentPeakRows(none, none, none.astype(np.float32))]

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        starts = run_starts(chunk.group_feature, chunk.group_document)
        size = np.abs(chunk.group_peak)
        largest = size[first_argmax(size, starts)]
        self._parts.append(DocumentPeakRows(chunk.group_feature[starts], chunk.group_document[starts], largest))

    def result(self) -> DocumentPeakRows:
        """The peaks so far."""
        feature = np.concatenate([part.feature for part in self._parts])
        document = np.concatenate([part.document for part in self._parts])
        size = np.concatenate([part.size for part in self._parts])
        order = argsort_within(feature, document.astype(np.uint64))
        feature, document, size = feature[order], document[order], size[order]
        starts = run_starts(feature, document)
        return DocumentPeakRows(feature[starts], document[starts], size[first_argmax(size, starts)])


def topic_auc(
    peaks: DocumentPeakRows,
    n_features: int,
    document_topic: NDArray[np.int64],
    is_used: NDArray[np.bool_],
    n_least: int,
) -> NDArray[np.float64]:
    """AUC with which a document's peak separates the documents of a topic from the other used ones.

    Documents without an event have peak 0; ties count half (Mann and Whitney 1947). `document_topic` [n_documents] is
    −1 where unknown: such documents are not used. Shape [n_features, n_topics], NaN for topics with fewer than
    n_least (≥ 1) used documents inside or outside.
    """
    n_topics = int(document_topic.max(initial=-1)) + 1
    is_used = is_used & (document_topic >= 0)
    topic_size = np.bincount(document_topic[is_used], minlength=n_topics)
    n_used = int(is_used.sum())
    keep = is_used[peaks.document]
    feature, size = peaks.feature[keep], peaks.size[keep]
    topic = document_topic[peaks.document[keep]]
    order = argsort_within(feature, size.view(np.uint32).astype(np.uint64))
    feature, size, topic = feature[order], size[order], topic[order]
    tie = run_starts(feature, size)
    n_tied = run_lengths(tie, len(size))
    n_fired = np.bincount(feature, minlength=n_features)
    before = tie - (np.cumsum(n_fired) - n_fired)[feature[tie]]  # smaller peaks of the same feature
    n_silent = n_used - n_fired
    rank = np.repeat(before + (n_tied + 1) / 2, n_tied) + n_silent[feature]
    row = feature * n_topics + topic
    shape = (n_features, n_topics)
    rank_sum = np.bincount(row, weights=rank, minlength=n_features * n_topics).reshape(shape)
    n_inside_fired = np.bincount(row, minlength=n_features * n_topics).reshape(shape)
    rank_sum = rank_sum + (topic_size - n_inside_fired) * (n_silent[:, None] + 1) / 2
    exists = (topic_size >= n_least) & (n_used - topic_size >= n_least)
    n_pairs = np.maximum(topic_size * (n_used - topic_size), 1)
    return np.where(exists, (rank_sum - topic_size * (topic_size + 1) / 2) / n_pairs, np.nan)


@dataclass(frozen=True)
class Picked:
    """Value and column of what was picked in each row. Shapes [n]."""

    value: NDArray[np.float64]
    column: NDArray[np.int64]


def pick_on_label_split(label: NDArray[np.float64], score: NDArray[np.float64]) -> Picked:
    """Of each row of [n, m] the column that is largest in `label`, and its value in `score`; NaN and −1 where none is.

    Only columns that exist (not NaN) in both are picked from; the first on ties.
    """
    exists = ~np.isnan(label) & ~np.isnan(score)
    if label.shape[1] == 0:
        return Picked(np.full(len(label), np.nan), np.full(len(label), -1, dtype=np.int64))
    best = np.argmax(np.where(exists, label, -np.inf), axis=1)
    row = np.arange(len(label))
    is_found = exists[row, best]
    return Picked(np.where(is_found, score[row, best], np.nan), np.where(is_found, best, -1))
