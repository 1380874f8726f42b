"""Describes a range of features: two readings of its events, and everything that is published of it comes out.

The first reading folds every aggregate; then the examples are chosen; the second reading fetches the events of the
published contexts and turns away the near misses in which the feature does fire.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import fold
from featlas.core.corpus import CorpusArrays
from featlas.core.corpus_index import CorpusIndex, CorpusTotals
from featlas.core.duplicates import FiringHashes
from featlas.core.events import FeatureEvents
from featlas.core.examples import ExampleLists, ExampleOptions, Examples, choose_top
from featlas.core.histogram import HistogramResult, Histograms
from featlas.core.intervals import (
    FrequencyCounts,
    Interval,
    exact_binomial,
    frequency_interval,
    mean_interval,
)
from featlas.core.moments import Moments, MomentsResult, mean_over_events, share, std_over_events
from featlas.core.near_miss import choose_near_misses, find_candidates
from featlas.core.pairs import PairEvents, PairFires, pair_ids
from featlas.core.positions import PositionProfile
from featlas.core.probe import ProbeFires, choose_non_firing
from featlas.core.published import ExampleTable, FiringTables, build_examples, firing_pairs, list_examples
from featlas.core.token_table import TokenTable, select_top_tokens
from featlas.domain import FeatureBatch, FeatureFlag, TokenRows

Chunks = Callable[[], Iterator[FeatureEvents]]
"""Opens a reading of the range's events, in slot order; called twice."""

DENSE_ABOVE = 0.10
"""A feature that fires on a larger share of the counted positions is flagged dense."""


@dataclass(frozen=True)
class DescribeOptions:
    """How much is published per feature; example counts are per split. Features n_real and above are null features."""

    n_real: int
    seed: int = 0
    top_tokens: int = 50
    n_top: int = 24
    n_candidates: int = 48
    n_uniform: int = 48
    n_octave: int = 6
    n_near_miss: int = 6
    n_non_firing: int = 6
    n_near_miss_tokens: int = 5


@dataclass(frozen=True)
class FeatureRange:
    """The features first … first + n − 1, with what was counted of them on excluded positions. Shapes [n]."""

    first: int
    n_fires_excluded: NDArray[np.int64]
    max_excluded: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.n_fires_excluded)


@dataclass(frozen=True)
class FeatureDescription:
    """What is known of a range of features: what is published, the full token table, and one column per number.

    `facts` is the published batch but for its examples, which are in `examples`. `columns` hold NaN where a number does
    not exist. `top_documents` [n, 2, k] are the slots of the peaks of the strongest contexts with distinct documents,
    per split (−1: fewer), for judging concentration. `firing_hash` [n] tells which features fire at the same positions;
    as that takes all features, `facts.duplicate_of` is −1 until `published.with_duplicates` fills it in.
    """

    facts: FeatureBatch
    examples: ExampleTable
    token_rows: TokenRows
    columns: dict[str, NDArray]
    top_documents: NDArray[np.int64]
    firing_hash: NDArray[np.uint64]

    @property
    def batch(self) -> FeatureBatch:
        """What is published, as it is known so far."""
        return replace(self.facts, examples=self.examples.bands(self.facts.first_feature))


@dataclass(frozen=True)
class _FirstReading:
    moments: MomentsResult
    histograms: HistogramResult
    lists: ExampleLists
    tokens: TokenRows
    positions: NDArray[np.int64]
    firing_hash: NDArray[np.uint64]
    probe_fires: NDArray[np.bool_]


def describe_features(
    features: FeatureRange, chunks: Chunks, corpus: CorpusArrays, index: CorpusIndex, options: DescribeOptions
) -> FeatureDescription:
    """Describe a range of features from two readings of their events.

    The result does not depend on how the events are cut into chunks of whole contexts (float sums to 1e-12), nor on how
    features are cut into ranges. `n_similar` of the examples is 0: see `published.ExampleTable`.
    """
    first = _read_first(features, chunks, corpus, index, options)
    n = len(features)
    candidates = find_candidates(first.tokens, index.token_contexts, features.first, n, options.n_near_miss_tokens)
    candidate_context = corpus.context_of_slot[candidates.slot]
    fires = PairFires(pair_ids(candidates.feature, candidate_context, corpus.n_contexts))
    firing = FiringTables(choose_top(first.lists, corpus, options.n_top), first.lists.uniform, first.lists.octaves)
    events = PairEvents(firing_pairs(firing, corpus))
    fold(chunks(), corpus, events, fires)
    silent = candidates.take(~fires.result())
    near_miss, n_near_misses = choose_near_misses(silent, corpus, n, options.n_near_miss)
    non_firing = choose_non_firing(index.probe, first.probe_fires, features.first, options.n_non_firing)
    chosen = list_examples(firing, near_miss, non_firing)
    n_in_band = _count_bands(first, n_near_misses, corpus.n_contexts)
    examples = build_examples(chosen, events.result(), n_in_band, corpus)
    return _assemble(features, first, examples, index, corpus, options)


def _read_first(
    features: FeatureRange, chunks: Chunks, corpus: CorpusArrays, index: CorpusIndex, options: DescribeOptions
) -> _FirstReading:
    n = len(features)
    moments, histograms, positions, hashes = Moments(n), Histograms(n), PositionProfile(n), FiringHashes(n)
    chosen = ExampleOptions(options.seed, options.n_candidates, options.n_uniform, options.n_octave)
    examples = Examples(features.first, n, chosen)
    tokens = TokenTable(features.first, corpus.n_vocab)
    probe_fires = ProbeFires(n, index.probe)
    fold(chunks(), corpus, moments, histograms, positions, hashes, examples, tokens, probe_fires)
    return _FirstReading(
        moments=moments.result(),
        histograms=histograms.result(),
        lists=examples.result(),
        tokens=tokens.result(),
        positions=positions.result(),
        firing_hash=hashes.result(),
        probe_fires=probe_fires.result(),
    )


def _count_bands(first: _FirstReading, n_near_misses: NDArray[np.int64], n_contexts: int) -> NDArray[np.int64]:
    """Contexts of the corpus in each band of BAND_NAMES, of near misses those in the index. Shape [n, n_bands]."""
    n_fired = first.moments.n_contexts_fired
    firing = (n_fired, n_fired, n_near_misses, n_contexts - n_fired)
    return np.concatenate([np.stack(firing, axis=1), first.histograms.peaks.sum(axis=1)], axis=1)


def _assemble(
    features: FeatureRange,
    first: _FirstReading,
    examples: ExampleTable,
    index: CorpusIndex,
    corpus: CorpusArrays,
    options: DescribeOptions,
) -> FeatureDescription:
    moments, totals = first.moments, index.totals
    intervals = find_intervals(moments, totals)
    columns = derive_columns(moments, totals, corpus.n_contexts)
    for name, interval in intervals.items():
        columns[f"{name}_low"], columns[f"{name}_high"] = interval.low, interval.high
    columns["n_fires_excluded"] = features.n_fires_excluded
    columns["max_excluded"] = np.where(features.n_fires_excluded > 0, features.max_excluded, np.nan)
    facts = FeatureBatch(
        first_feature=features.first,
        n_fires=moments.n_fires,
        n_contexts_fired=moments.n_contexts_fired,
        n_documents_fired=moments.n_documents_fired,
        sum=moments.sum,
        sum_sq=moments.sum_sq,
        max=moments.max,
        n_fires_excluded=features.n_fires_excluded,
        max_excluded=features.max_excluded,
        group_n_fires=moments.group_n_fires,
        group_sum=moments.group_sum,
        flags=find_flags(features, moments.n_fires, totals.n_tokens, options.n_real),
        duplicate_of=np.full(len(features), -1, dtype=np.int64),
        histogram=first.histograms.events,
        peak_histogram=first.histograms.peaks,
        position_profile=first.positions,
        intervals={name: np.stack([ends.low, ends.high], axis=1) for name, ends in intervals.items()},
        top_tokens=select_top_tokens(first.tokens, totals.n_occurrences.sum(axis=0), options.top_tokens),
        examples=[],
    )
    return FeatureDescription(facts, examples, first.tokens, columns, first.lists.by_document, first.firing_hash)


def derive_columns(moments: MomentsResult, totals: CorpusTotals, n_contexts: int) -> dict[str, NDArray]:
    """The numbers of n features that follow from their counts and sums, by name; NaN where one does not exist."""
    n_fires = moments.n_fires
    return {
        "n_fires": n_fires,
        "n_contexts_fired": moments.n_contexts_fired,
        "n_documents_fired": moments.n_documents_fired,
        "activation_frequency": share(n_fires, totals.n_tokens),
        "context_frequency": share(moments.n_contexts_fired, n_contexts),
        "document_frequency": share(moments.n_documents_fired, totals.n_documents),
        "mean_activation": mean_over_events(n_fires, moments.sum),
        "std_activation": std_over_events(n_fires, moments.sum, moments.sum_sq),
        "max_activation": moments.max,
    }


def find_intervals(moments: MomentsResult, totals: CorpusTotals) -> dict[str, Interval]:
    """95 % intervals of activation_frequency, document_frequency and mean_activation."""
    counts = FrequencyCounts(
        moments.group_n_fires, moments.n_documents_fired, totals.group_n_tokens, totals.n_documents
    )
    return {
        "activation_frequency": frequency_interval(counts),
        "document_frequency": exact_binomial(moments.n_documents_fired, totals.n_documents),
        "mean_activation": mean_interval(moments.group_sum, moments.group_n_fires),
    }


def find_flags(features: FeatureRange, n_fires: NDArray[np.int64], n_tokens: int, n_real: int) -> NDArray[np.uint32]:
    """`domain.FeatureFlag` of each feature: DEAD, SINK_ONLY, DENSE, NULL (index n_real and above)."""
    is_silent = n_fires == 0
    is_excluded = features.n_fires_excluded > 0
    is_null = features.first + np.arange(len(features)) >= n_real
    flags = np.zeros(len(features), dtype=np.uint32)
    for flag, holds in (
        (FeatureFlag.DEAD, is_silent & ~is_excluded),
        (FeatureFlag.SINK_ONLY, is_silent & is_excluded),
        (FeatureFlag.DENSE, n_fires > DENSE_ABOVE * n_tokens),
        (FeatureFlag.NULL, is_null),
    ):
        flags |= np.where(holds, np.uint32(flag), np.uint32(0))
    return flags
