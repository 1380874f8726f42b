"""What every per-feature statistic shares: one derivation per chunk of events, and the protocol it is folded with."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.events import FeatureEvents
from featlas.core.segments import first_argmax, run_lengths, run_starts


@dataclass(frozen=True)
class Chunk:
    """Events of a feature range in a chunk of whole contexts, with what the aggregates derive from them, each once.

    A *group* is a (feature, context) pair with at least one event; groups are in feature, then slot order. Its *peak*
    is the event of largest magnitude, the first slot on ties, sign kept. Features are local (0 … n_features − 1).
    """

    events: FeatureEvents
    corpus: CorpusArrays

    @property
    def n_features(self) -> int:
        """Number of features in the range."""
        return self.events.n_features

    @property
    def value(self) -> NDArray[np.float32]:
        """Activation of each event. Shape [nnz]."""
        return self.events.value

    @cached_property
    def feature(self) -> NDArray[np.int64]:
        """Local feature of each event. Shape [nnz]."""
        return self.events.feature()

    @cached_property
    def context(self) -> NDArray[np.int64]:
        """Context index of each event. Shape [nnz]."""
        return self.corpus.context_of_slot[self.events.slot].astype(np.int64)

    @cached_property
    def position(self) -> NDArray[np.int64]:
        """Position in the context of each event. Shape [nnz]."""
        return self.events.slot - self.corpus.context_slot[self.context]

    @cached_property
    def token_id(self) -> NDArray[np.int64]:
        """Token id of each event. Shape [nnz]."""
        return self.corpus.token_ids[self.events.slot].astype(np.int64)

    @cached_property
    def group_start(self) -> NDArray[np.int64]:
        """Index of the first event of each group. Shape [n_groups]."""
        return run_starts(self.feature, self.context)

    @cached_property
    def group_n_events(self) -> NDArray[np.int64]:
        """Events of each group. Shape [n_groups]."""
        return run_lengths(self.group_start, len(self.feature))

    @cached_property
    def group_feature(self) -> NDArray[np.int64]:
        """Local feature of each group. Shape [n_groups]."""
        return self.feature[self.group_start]

    @cached_property
    def group_context(self) -> NDArray[np.int64]:
        """Context index of each group. Shape [n_groups]."""
        return self.context[self.group_start]

    @cached_property
    def group_document(self) -> NDArray[np.int64]:
        """Document index of each group. Shape [n_groups]."""
        return self.corpus.context_document[self.group_context].astype(np.int64)

    @cached_property
    def group_split(self) -> NDArray[np.int64]:
        """Split (`domain.Split`) of each group. Shape [n_groups]."""
        return self.corpus.document_split[self.group_document].astype(np.int64)

    @cached_property
    def _group_peak_event(self) -> NDArray[np.int64]:
        return first_argmax(np.abs(self.value), self.group_start)

    @cached_property
    def group_peak(self) -> NDArray[np.float32]:
        """Peak of each group, sign kept. Shape [n_groups]."""
        return self.value[self._group_peak_event]

    @cached_property
    def group_peak_slot(self) -> NDArray[np.int64]:
        """Slot of each group's peak. Shape [n_groups]."""
        return self.events.slot[self._group_peak_event]


class Aggregate(Protocol):
    """A statistic of a range of features, folded over chunks that come in slot order.

    The law: any cut of the events into chunks of whole contexts, and any split into feature ranges, gives the same
    result (integers, maxima and chosen examples exactly, float sums to 1e-12 relative).
    """

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        ...


def fold(chunks: Iterable[FeatureEvents], corpus: CorpusArrays, *aggregates: Aggregate) -> None:
    """Read the chunks once, in slot order, and add each to every aggregate."""
    for events in chunks:
        chunk = Chunk(events, corpus)
        for aggregate in aggregates:
            aggregate.add(chunk)
