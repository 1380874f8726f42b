"""Turns the chosen slots into published examples: whole contexts with the feature's events, band by band."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.histogram import N_OCTAVES, OCTAVES
from featlas.core.pairs import PairEventRows, find_sorted, pair_ids
from featlas.core.segments import argsort_within, concat_ranges, run_lengths, run_starts
from featlas.core.windows import WindowCounts, window_hashes
from featlas.domain import Band, ExampleBand, FeatureBatch, FeatureFlag

BAND_NAMES = (Band.TOP, Band.UNIFORM, Band.NEAR_MISS, Band.NON_FIRING, *(f"octave:{octave}" for octave in OCTAVES))
"""Every band by its code; the octave bands come last, in the order of `histogram.OCTAVES`."""


@dataclass(frozen=True)
class ChosenExamples:
    """Published (feature, band, split, context) rows in order of publication; `slot` is the peak's. Shapes [n_rows]."""

    feature: NDArray[np.int64]  # local
    band: NDArray[np.int64]  # index in BAND_NAMES
    split: NDArray[np.int64]
    slot: NDArray[np.int64]


@dataclass(frozen=True)
class FiringTables:
    """Chosen slots of n features, −1 where there are fewer: top and uniform [n, 2, k], octaves [n, 2, N_OCTAVES, k]."""

    top: NDArray[np.int64]
    uniform: NDArray[np.int64]
    octaves: NDArray[np.int64]

    def slots(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Feature and slot of every entry. Shapes [n_entries]."""
        n = len(self.top)
        table = np.concatenate([part.reshape(n, -1) for part in (self.top, self.uniform, self.octaves)], axis=1)
        feature, place = np.nonzero(table >= 0)
        return feature, table[feature, place]


def firing_pairs(tables: FiringTables, corpus: CorpusArrays) -> NDArray[np.int64]:
    """The distinct (feature, context) pairs that are published with events, ascending."""
    feature, slot = tables.slots()
    pair = np.sort(pair_ids(feature, corpus.context_of_slot[slot], corpus.n_contexts), kind="stable")
    return pair[run_starts(pair)]


def list_examples(firing: FiringTables, near_miss: NDArray[np.int64], non_firing: NDArray[np.int64]) -> ChosenExamples:
    """All rows, by feature, band, split, place in the list; the last two tables are [n, 2, k] like the others."""
    octaves = (firing.octaves[:, :, column] for column in range(N_OCTAVES))
    columns = []
    for code, table in enumerate((firing.top, firing.uniform, near_miss, non_firing, *octaves)):
        feature, split, place = np.nonzero(table >= 0)
        columns.append((feature, np.full(len(feature), code), split, table[feature, split, place]))
    feature, band, split, slot = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = argsort_within(feature * len(BAND_NAMES) + band)
    return ChosenExamples(feature[order], band[order], split[order], slot[order])


@dataclass(frozen=True)
class ExampleTable:
    """The published examples of a range of features as columns, by feature, band, split and place.

    Example e is of the local feature `feature[e]` and of band `band[e]`, which has `n_in_band[e]` contexts in the whole
    corpus; its events are `position` and `value` `[indptr[e]:indptr[e + 1]]`. The rest is as in `domain.ExampleBand`,
    which `bands` makes of it.
    """

    feature: NDArray[np.int64]
    band: NDArray[np.int64]
    n_in_band: NDArray[np.int64]
    context_index: NDArray[np.uint32]
    split: NDArray[np.uint8]
    peak_position: NDArray[np.uint16]
    n_similar: NDArray[np.uint32]
    indptr: NDArray[np.int64]
    position: NDArray[np.uint16]
    value: NDArray[np.float32]

    def windows(self, corpus: CorpusArrays) -> NDArray[np.uint64]:
        """The window around the peak of each example, as its hash. Shape [n_examples]."""
        return window_hashes(corpus, corpus.context_slot[self.context_index] + self.peak_position)

    def with_similar_counts(self, corpus: CorpusArrays, counts: WindowCounts) -> "ExampleTable":
        """The same with `n_similar`: how often an example's window occurs in the corpus, itself included."""
        return replace(self, n_similar=counts.fetch(self.windows(corpus)).astype(np.uint32))

    def bands(self, first_feature: int) -> list[ExampleBand]:
        """The bands by feature and band; those without an example are left out."""
        starts = run_starts(self.feature, self.band)
        lengths = run_lengths(starts, len(self.feature))
        return [
            self._band(first_feature, slice(start, start + length))
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]

    def _band(self, first_feature: int, rows: slice) -> ExampleBand:
        indptr = self.indptr[rows.start : rows.stop + 1]
        events = slice(int(indptr[0]), int(indptr[-1]))
        return ExampleBand(
            feature_index=first_feature + int(self.feature[rows.start]),
            band=str(BAND_NAMES[self.band[rows.start]]),
            n_in_band=int(self.n_in_band[rows.start]),
            context_index=self.context_index[rows],
            split=self.split[rows],
            peak_position=self.peak_position[rows],
            n_similar=self.n_similar[rows],
            indptr=(indptr - indptr[0]).astype(np.uint32),
            position=self.position[events],
            value=self.value[events],
        )


def build_examples(
    chosen: ChosenExamples, events: PairEventRows, n_in_band: NDArray[np.int64], corpus: CorpusArrays
) -> ExampleTable:
    """The table of the chosen examples.

    `n_in_band` [n, len(BAND_NAMES)] counts the contexts of each band in the whole corpus; `events` holds the events
    of `firing_pairs` (near misses and non-firing contexts have none). `n_similar` is 0 until `with_similar_counts`
    fills it in.
    """
    context = corpus.context_of_slot[chosen.slot].astype(np.uint32)
    is_firing, pair = find_sorted(events.pair, pair_ids(chosen.feature, context, corpus.n_contexts))
    n_events = np.zeros(len(context), dtype=np.int64)
    n_events[is_firing] = events.indptr[pair + 1] - events.indptr[pair]
    at = concat_ranges(events.indptr[pair], n_events[is_firing])
    return ExampleTable(
        feature=chosen.feature,
        band=chosen.band,
        n_in_band=n_in_band[chosen.feature, chosen.band],
        context_index=context,
        split=chosen.split.astype(np.uint8),
        peak_position=(chosen.slot - corpus.context_slot[context]).astype(np.uint16),
        n_similar=np.zeros(len(context), dtype=np.uint32),
        indptr=np.concatenate([[0], np.cumsum(n_events)]),
        position=events.position[at],
        value=events.value[at],
    )


def with_duplicates(batch: FeatureBatch, duplicate_of: NDArray[np.int64]) -> FeatureBatch:
    """The batch with `duplicate_of` [n] of its features, and the flag DUPLICATE where there is one."""
    flag = np.where(duplicate_of >= 0, np.uint32(FeatureFlag.DUPLICATE), np.uint32(0))
    return replace(batch, duplicate_of=duplicate_of, flags=batch.flags | flag)
