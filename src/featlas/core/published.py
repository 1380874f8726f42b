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


def build_bands(
    chosen: ChosenExamples,
    events: PairEventRows,
    n_in_band: NDArray[np.int64],
    first_feature: int,
    corpus: CorpusArrays,
) -> list[ExampleBand]:
    """The published bands by feature and band; bands without an example are left out.

    `n_in_band` [n, len(BAND_NAMES)] counts the contexts of each band in the whole corpus; `events` holds the events
    of `firing_pairs` (near misses and non-firing contexts have none). `n_similar` is 0 until `with_similar_counts`
    fills it in.
    """
    context = corpus.context_of_slot[chosen.slot].astype(np.uint32)
    peak_position = (chosen.slot - corpus.context_slot[context]).astype(np.uint16)
    is_firing, pair = find_sorted(events.pair, pair_ids(chosen.feature, context, corpus.n_contexts))
    n_events = np.zeros(len(context), dtype=np.int64)
    n_events[is_firing] = events.indptr[pair + 1] - events.indptr[pair]
    at = concat_ranges(events.indptr[pair], n_events[is_firing])
    position, value = events.position[at], events.value[at]
    indptr = np.concatenate([[0], np.cumsum(n_events)])
    split = chosen.split.astype(np.uint8)
    starts = run_starts(chosen.feature, chosen.band)
    bands = []
    for start, length in zip(starts.tolist(), run_lengths(starts, len(context)).tolist(), strict=True):
        rows = slice(start, start + length)
        feature, band = int(chosen.feature[start]), int(chosen.band[start])
        first, last = int(indptr[start]), int(indptr[start + length])
        bands.append(
            ExampleBand(
                feature_index=first_feature + feature,
                band=str(BAND_NAMES[band]),
                n_in_band=int(n_in_band[feature, band]),
                context_index=context[rows],
                split=split[rows],
                peak_position=peak_position[rows],
                n_similar=np.zeros(length, dtype=np.uint32),
                indptr=(indptr[start : start + length + 1] - first).astype(np.uint32),
                position=position[first:last],
                value=value[first:last],
            )
        )
    return bands


def _hash_examples(bands: list[ExampleBand], corpus: CorpusArrays) -> NDArray[np.uint64]:
    context = np.concatenate([np.zeros(0, dtype=np.uint32), *(band.context_index for band in bands)])
    position = np.concatenate([np.zeros(0, dtype=np.uint16), *(band.peak_position for band in bands)])
    return window_hashes(corpus, corpus.context_slot[context] + position)


def published_windows(batch: FeatureBatch, corpus: CorpusArrays) -> NDArray[np.uint64]:
    """The distinct windows of all published examples, ascending: what `windows.count_windows` is asked to count."""
    return np.unique(_hash_examples(batch.examples, corpus))


def with_similar_counts(batch: FeatureBatch, corpus: CorpusArrays, counts: WindowCounts) -> FeatureBatch:
    """The batch with `n_similar` of every example: how often its window occurs in the corpus, itself included."""
    n_similar = counts.fetch(_hash_examples(batch.examples, corpus)).astype(np.uint32)
    ends = np.cumsum([len(band.context_index) for band in batch.examples], dtype=np.int64)
    parts = np.split(n_similar, ends[:-1]) if len(ends) else []
    bands = [replace(band, n_similar=part) for band, part in zip(batch.examples, parts, strict=True)]
    return replace(batch, examples=bands)


def with_duplicates(batch: FeatureBatch, duplicate_of: NDArray[np.int64]) -> FeatureBatch:
    """The batch with `duplicate_of` [n] of its features, and the flag DUPLICATE where there is one."""
    flag = np.where(duplicate_of >= 0, np.uint32(FeatureFlag.DUPLICATE), np.uint32(0))
    return replace(batch, duplicate_of=duplicate_of, flags=batch.flags | flag)
