from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from tests.oracles import statistics
from tests.oracles.worlds import World, cuts, make_world, worlds

from featlas.core.corpus_index import CorpusIndex, index_corpus
from featlas.core.describe import (
    DescribeOptions,
    FeatureDescription,
    FeatureRange,
    describe_features,
    find_flags,
)
from featlas.core.histogram import EDGES
from featlas.core.intervals import FrequencyCounts, exact_binomial, frequency_interval, mean_interval
from featlas.domain import ExampleBand, FeatureBatch, FeatureFlag

OPTIONS = DescribeOptions(
    n_real=93,
    seed=4,
    top_tokens=2,
    n_top=3,
    n_candidates=5,
    n_uniform=4,
    n_octave=2,
    n_near_miss=2,
    n_non_firing=2,
    n_near_miss_tokens=2,
)


def index_of(world: World) -> CorpusIndex:
    return index_corpus(world.corpus, OPTIONS.seed, 10, 4)


def excluded_counts(world: World) -> np.ndarray:
    feature = np.arange(world.n_features)
    return feature % 2 * feature  # 0, 1, 0, 3, …


def describe_world(world: World, at: list[int], features: range | None = None) -> FeatureDescription:
    chosen = features or range(world.n_features)
    excluded = excluded_counts(world)[chosen.start : chosen.stop]
    feature_range = FeatureRange(world.first + chosen.start, excluded, excluded.astype(np.float32) / 2)
    return describe_features(feature_range, lambda: world.cut(at, chosen), world.corpus, index_of(world), OPTIONS)


def same(expected: object, actual: object, path: str = "") -> None:
    """Equal in every array, exactly for integers and float32, to 1e-12 for float64 sums."""
    if isinstance(expected, np.ndarray) and expected.dtype == np.float64:
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9, err_msg=path)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(expected, actual, err_msg=path)
    elif isinstance(expected, dict):
        assert expected.keys() == actual.keys()
        for key, value in expected.items():
            same(value, actual[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(expected) == len(actual), path
        for i, (a, b) in enumerate(zip(expected, actual, strict=True)):
            same(a, b, f"{path}[{i}]")
    elif hasattr(expected, "__dataclass_fields__"):
        for f in fields(expected):
            same(getattr(expected, f.name), getattr(actual, f.name), f"{path}.{f.name}")
    else:
        assert expected == actual, path


def moderate(world: World) -> World:
    """Extreme values lose sums to rounding, whatever the order: they are compared elsewhere."""
    value = np.where(np.abs(world.events.value) > 1e6, np.float32(9), world.events.value)
    return replace(world, events=replace(world.events, value=value))


@settings(max_examples=25)
@given(worlds, cuts)
def test_any_cut_gives_the_same_description(world: World, at: list[int]):
    world = moderate(world)
    same(describe_world(world, []), describe_world(world, at))


@settings(max_examples=20)
@given(worlds, cuts)
def test_any_range_gives_its_part_of_the_description(world: World, at: list[int]):
    world = moderate(world)
    whole = describe_world(world, [])
    parts = [describe_world(world, at, part) for part in (range(2), range(2, world.n_features))]
    for f in fields(FeatureBatch):
        if f.name not in ("first_feature", "intervals", "top_tokens", "examples"):
            joined = np.concatenate([getattr(part.batch, f.name) for part in parts])
            same(getattr(whole.batch, f.name), joined, f.name)
    same(whole.batch.examples, parts[0].batch.examples + parts[1].batch.examples, "examples")
    for name, column in whole.columns.items():
        same(column, np.concatenate([part.columns[name] for part in parts]), name)
    for name in ("feature_index", "token_id", "n_fires"):
        expected = getattr(whole.batch.top_tokens, name)
        same(expected, np.concatenate([getattr(part.batch.top_tokens, name) for part in parts]), name)


@settings(max_examples=20)
@given(worlds)
def test_bands_are_the_oracles(world: World):
    described = describe_world(world, [3, 9])
    bands = {(b.feature_index - world.first, b.band): b for b in described.batch.examples}
    for f in range(world.n_features):
        n_fired = len(world.contexts(f))
        check_firing(world, f, bands.get((f, "top")), n_fired, "top")
        check_firing(world, f, bands.get((f, "uniform")), n_fired, "uniform")
        for octave in range(-17, 17):
            n_octave = sum(statistics.octave_of(value) == octave for _, value in world.peaks(f).values())
            check_firing(world, f, bands.get((f, f"octave:{octave}")), n_octave, octave)
        for name in ("near_miss", "non_firing"):
            band = bands.get((f, name))
            if band is not None:
                assert not set(band.context_index.tolist()) & set(world.contexts(f))
                assert 0 == len(band.value)
        if (f, "non_firing") in bands:
            assert world.corpus.n_contexts - n_fired == bands[f, "non_firing"].n_in_band


def check_firing(world: World, f: int, band: ExampleBand | None, n_in_band: int, name: str | int) -> None:
    expected = []
    for split in (0, 1):
        if name == "top":
            slots = statistics.published_top(world, f, split, OPTIONS.seed, OPTIONS.n_candidates, OPTIONS.n_top)
        elif name == "uniform":
            slots = statistics.smallest_keys(world, f, split, OPTIONS.seed, OPTIONS.n_uniform)
        else:
            slots = statistics.smallest_keys(world, f, split, OPTIONS.seed, OPTIONS.n_octave, int(name))
        expected += [(split, slot) for slot in slots]
    if not expected:
        assert band is None
        assert n_in_band == 0
        return
    assert band is not None
    assert n_in_band == band.n_in_band
    slots = world.corpus.context_slot[band.context_index] + band.peak_position
    assert expected == list(zip(band.split.tolist(), slots.tolist(), strict=True))
    for e, context in enumerate(band.context_index.tolist()):
        values = band.value[band.indptr[e] : band.indptr[e + 1]].tolist()
        assert [value for _, value in world.contexts(f)[context]] == values


@settings(max_examples=20)
@given(worlds)
def test_near_misses_hold_one_of_the_commonest_tokens_of_their_split(world: World):
    for band in describe_world(world, []).batch.examples:
        if band.band != "near_miss":
            continue
        f = band.feature_index - world.first
        slots = world.corpus.context_slot[band.context_index] + band.peak_position
        assert band.n_in_band >= len(slots)
        for slot, split in zip(slots.tolist(), band.split.tolist(), strict=True):
            assert world.split(int(world.corpus.context_of_slot[slot])) == split
            assert world.corpus.cause[slot] == 0
            fired = Counter(
                int(world.corpus.token_ids[s])
                for s, _ in world.rows(f)
                if world.split(int(world.corpus.context_of_slot[s])) == split
            )
            commonest = sorted(fired, key=lambda token, fired=fired: (-fired[token], token))
            assert int(world.corpus.token_ids[slot]) in commonest[: OPTIONS.n_near_miss_tokens]


def test_worlds_have_near_misses_at_all():
    n = [
        sum(b.band == "near_miss" for b in describe_world(make_world(s, "floats"), []).batch.examples) for s in range(4)
    ]
    assert min(n) >= 1


@settings(max_examples=20)
@given(worlds)
def test_columns_are_derived_from_the_counts_they_are_shown_with(world: World):
    described = describe_world(world, [])
    batch, columns = described.batch, described.columns
    n_tokens, n_fires = len(world.counted()), batch.n_fires
    assert [len(world.rows(f)) for f in range(world.n_features)] == n_fires.tolist()
    same(n_fires / n_tokens, columns["activation_frequency"])
    same(batch.n_contexts_fired / world.corpus.n_contexts, columns["context_frequency"])
    same(batch.n_documents_fired / index_of(world).totals.n_documents, columns["document_frequency"])
    live = n_fires > 0
    same((batch.sum[live] / n_fires[live]), columns["mean_activation"][live])
    for name in ("mean_activation", "std_activation", "max_activation"):
        np.testing.assert_array_equal(~live, np.isnan(columns[name]))
    for name in ("n_fires", "n_contexts_fired", "n_documents_fired", "n_fires_excluded"):
        assert columns[name] is getattr(batch, name)
    assert columns["max_activation"] is batch.max
    totals = index_of(world).totals
    n_documents = len(set(world.corpus.context_document.tolist()))
    counts = FrequencyCounts(batch.group_n_fires, batch.n_documents_fired, totals.group_n_tokens, n_documents)
    expected = {
        "activation_frequency": frequency_interval(counts),
        "document_frequency": exact_binomial(batch.n_documents_fired, n_documents),
        "mean_activation": mean_interval(batch.group_sum, batch.group_n_fires),
    }
    same({name: np.stack([iv.low, iv.high], axis=1) for name, iv in expected.items()}, batch.intervals)
    ends = {f"{name}_{end}": getattr(iv, end) for name, iv in expected.items() for end in ("low", "high")}
    same(ends, {name: columns[name] for name in ends})
    excluded = excluded_counts(world)
    np.testing.assert_array_equal(np.where(excluded > 0, excluded / 2, np.nan), columns["max_excluded"])
    np.testing.assert_array_equal(excluded, batch.n_fires_excluded)
    np.testing.assert_array_equal(excluded.astype(np.float32) / 2, batch.max_excluded)


def test_a_batch_holds_what_each_aggregate_gives():
    world = make_world(17, "floats")
    described = describe_world(world, [5])
    batch = described.batch
    assert (world.first, world.n_features) == (batch.first_feature, len(batch))
    for f in range(world.n_features):
        values = [v for _, v in world.rows(f)]
        assert batch.sum_sq[f] == pytest.approx(sum(v * v for v in values))
        assert (
            sorted(statistics.bin_of(v, EDGES) for v in values)
            == np.repeat(np.arange(260), batch.histogram[f]).tolist()
        )
        assert len(world.contexts(f)) == batch.peak_histogram[f].sum()
        assert len(values) == batch.position_profile[f].sum() == batch.group_n_fires[f].sum()
        for split in (0, 1):
            best = statistics.best_distinct(world, f, split, OPTIONS.seed, OPTIONS.n_candidates, "document")
            assert [*best, *[-1] * (5 - len(best))] == described.top_documents[f, split].tolist()
    assert len(statistics.token_rows(world)) == len(described.token_rows.n_fires)
    assert 0 < len(batch.top_tokens.n_fires) < len(described.token_rows.n_fires)


def test_the_tops_by_precision_use_occurrences_in_both_splits():
    world = make_world(17, "floats")
    index = index_of(world)
    from featlas.core.token_table import select_top_tokens

    described = describe_world(world, [])
    expected = select_top_tokens(described.token_rows, index.totals.n_occurrences.sum(axis=0), OPTIONS.top_tokens)
    same(expected, described.batch.top_tokens)


def test_flags_say_what_counts_alone_can_say():
    features = FeatureRange(10, np.array([0, 1, 0, 0, 4, 0]), np.zeros(6, dtype=np.float32))
    flags = find_flags(features, np.array([0, 0, 1, 100, 101, 0]), 1000, n_real=15)
    expected = [FeatureFlag.DEAD, FeatureFlag.SINK_ONLY, 0, 0, FeatureFlag.DENSE, FeatureFlag.DEAD | FeatureFlag.NULL]
    assert expected == flags.tolist()
    assert np.uint32 == flags.dtype
    assert 6 == len(features)


def test_described_features_carry_their_flags():
    world = make_world(17, "floats")
    batch = describe_world(world, []).batch
    expected = find_flags(
        FeatureRange(world.first, batch.n_fires_excluded, batch.max_excluded),
        batch.n_fires,
        len(world.counted()),
        OPTIONS.n_real,
    )
    np.testing.assert_array_equal(expected, batch.flags)


def test_the_numbers_published_by_default():
    assert DescribeOptions(9, 0, 50, 24, 48, 48, 6, 6, 6, 5) == DescribeOptions(n_real=9)


def test_a_range_in_which_nothing_ever_fires_is_described():
    world = make_world(17, "floats")
    described = describe_world(world, [4], range(4, 5))
    assert [FeatureFlag.DEAD] == (described.batch.flags & ~FeatureFlag.NULL).tolist()
    assert {"non_firing"} == {band.band for band in described.batch.examples}
    assert 0.0 == described.columns["activation_frequency"][0]
    assert np.isnan(described.columns["mean_activation"][0])
    assert 3 / len(world.counted()) == described.columns["activation_frequency_high"][0]
