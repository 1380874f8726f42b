"""What an offline labeler sees of a feature and of the corpus, and what it answers: all of it of the label split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.domain import LabelSource, LabelStatus


@dataclass(frozen=True)
class ExampleTokens:
    """A context in which the feature fires: its document, its tokens, and the positions at which it fires."""

    document: int
    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]


@dataclass(frozen=True)
class FeatureEvidence:
    """One feature on the label split.

    `token_id` [m] ascending and `token_n_fires` [m] (> 0) are its token table, `position_n_fires` [n_buckets]
    its events by position bucket, `examples` contexts drawn by chance from those in which it fires.
    """

    feature_index: int
    token_id: NDArray[np.int64]
    token_n_fires: NDArray[np.int64]
    position_n_fires: NDArray[np.int64]
    examples: Sequence[ExampleTokens]

    @property
    def n_fires(self) -> int:
        """Events of the label split."""
        return int(self.token_n_fires.sum())


@dataclass(frozen=True)
class Found:
    """A pattern of one feature, in words and as a detector, with its counts on the label split.

    Of the feature's `n_fires` events `n_hit` lie where the pattern holds, which is the case at `n_pattern` positions.
    `n_hit` may be an estimate from examples; `n_listed` counts the words that the pattern lists,
    `n_paid` the hits that do not count for it, because its words were chosen by the same counts.
    """

    semantic_label: str
    category_label: str
    what: str
    detector: Mapping[str, Any]
    n_fires: int
    n_hit: float
    n_pattern: int
    n_listed: int = 1
    n_paid: int = 0

    @property
    def recall(self) -> float:
        """P(pattern | fires)."""
        return self.n_hit / self.n_fires

    @property
    def precision(self) -> float:
        """P(fires | pattern); estimated counts may pass 1 by chance."""
        return min(self.n_hit / max(self.n_pattern, 1), 1.0)

    @property
    def f1(self) -> float:
        """Harmonic mean of the two, of the hits that were not paid for choosing the pattern."""
        return min(2 * (self.n_hit - self.n_paid) / (self.n_fires + self.n_pattern), 1.0)


@dataclass(frozen=True)
class Labeling:
    """What a labeler answers for one feature; an abstention has no texts, and its explanation says why.

    `evidence` is plain JSON: the counts, and under `detector` the label as something that can be tested.
    """

    feature_index: int
    status: LabelStatus
    source: LabelSource
    semantic_label: str | None
    category_label: str | None
    explanation: str
    evidence: Mapping[str, Any]
