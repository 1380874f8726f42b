from dataclasses import fields

import numpy as np
from tests.oracles.worlds import World, make_world
from tests.unit.core.test_describe import describe_world

from featlas.core.aggregate import fold
from featlas.core.histogram import N_OCTAVES
from featlas.core.pairs import PairEvents
from featlas.core.published import (
    BAND_NAMES,
    FiringTables,
    build_examples,
    firing_pairs,
    list_examples,
    with_duplicates,
)
from featlas.core.windows import count_windows, window_hashes
from featlas.domain import Band, ExampleBand, FeatureFlag


def tables_of(world: World) -> FiringTables:
    """The first peaks of features 0 and 2 by hand."""
    n = world.n_features
    top = np.full((n, 2, 2), -1)
    uniform, octaves = np.full((n, 2, 1), -1), np.full((n, 2, N_OCTAVES, 1), -1)
    for f in (0, 2):
        for context, (slot, _) in list(world.peaks(f).items())[:2]:
            split = world.split(context)
            top[f, split, list(top[f, split]).index(-1)] = slot
            uniform[f, split, 0] = slot
            octaves[f, split, 33, 0] = octaves[f, split, 0, 0] = slot
    return FiringTables(top, uniform, octaves)


def test_bands_are_named_in_a_fixed_order():
    assert ("top", "uniform", "near_miss", "non_firing", "octave:-17", "octave:-16") == BAND_NAMES[:6]
    assert "octave:16" == BAND_NAMES[-1]
    assert 38 == len(BAND_NAMES)


def test_examples_are_listed_by_feature_band_split_and_place():
    world = make_world(12, "floats")
    tables = tables_of(world)
    near, silent = np.full((world.n_features, 2, 2), -1), np.full((world.n_features, 2, 1), -1)
    near[1, 0] = [8, 5]
    silent[1, 1] = [3]
    chosen = list_examples(tables, near, silent)
    rows = list(zip(chosen.feature, chosen.band, chosen.split, chosen.slot, strict=True))
    expected = []
    every = [tables.top, tables.uniform, near, silent, *(tables.octaves[:, :, o] for o in range(N_OCTAVES))]
    for f in range(world.n_features):
        for band, table in enumerate(every):
            expected += [(f, band, split, slot) for split in (0, 1) for slot in table[f, split] if slot >= 0]
    assert expected == rows


def test_pairs_are_those_with_events_each_once():
    world = make_world(12, "floats")
    pairs = firing_pairs(tables_of(world), world.corpus)
    n = world.corpus.n_contexts
    assert sorted(f * n + c for f in (0, 2) for c in list(world.peaks(f))[:2]) == pairs.tolist()


def test_a_band_holds_whole_contexts_with_their_events():
    world = make_world(12, "floats")
    corpus, tables = world.corpus, tables_of(world)
    near = np.full((world.n_features, 2, 1), -1)
    last = corpus.n_contexts - 1
    near[2, 1, 0] = near[4, 0, 0] = corpus.context_slot[last]
    assert last not in world.peaks(4)
    events = PairEvents(firing_pairs(tables, corpus))
    fold(world.cut([]), corpus, events)
    n_in_band = np.arange(world.n_features * 38).reshape(-1, 38)
    none = np.full((world.n_features, 2, 0), -1)
    bands = build_examples(list_examples(tables, near, none), events.result(), n_in_band, corpus).bands(100)
    expected = [(100, 0), (100, 1), (100, 4), (100, 37), (102, 0), (102, 1), (102, 2), (102, 4), (102, 37), (104, 2)]
    assert expected == [(b.feature_index, BAND_NAMES.index(b.band)) for b in bands]
    assert [int(n_in_band[f - 100, b]) for f, b in expected] == [b.n_in_band for b in bands]
    for band in bands:
        check_band(world, band, band.feature_index - 100)
        assert [0] * len(band.context_index) == band.n_similar.tolist()
    silent = bands[-1]
    assert (Band.NEAR_MISS, [last], [0], [0, 0]) == (
        silent.band,
        silent.context_index.tolist(),
        silent.peak_position.tolist(),
        silent.indptr.tolist(),
    )
    assert type(silent.band) is str


def check_band(world: World, band: ExampleBand, f: int) -> None:
    types = (np.uint32, np.uint8, np.uint16, np.uint32, np.uint32, np.uint16, np.float32)
    columns = ("context_index", "split", "peak_position", "n_similar", "indptr", "position", "value")
    assert types == tuple(getattr(band, name).dtype for name in columns)
    for e, context in enumerate(band.context_index.tolist()):
        own = slice(int(band.indptr[e]), int(band.indptr[e + 1]))
        first = int(world.corpus.context_slot[context])
        rows = [] if band.band == Band.NEAR_MISS else world.contexts(f)[context]
        assert [slot - first for slot, _ in rows] == band.position[own].tolist()
        assert [value for _, value in rows] == band.value[own].tolist()
        if rows:
            assert world.peaks(f)[context][0] - first == band.peak_position[e]
            assert world.split(context) == band.split[e]
    assert (0, len(band.position), len(band.value)) == (band.indptr[0], band.indptr[-1], band.indptr[-1])


def test_similar_counts_are_filled_in_for_every_example():
    world = make_world(21, "small integers")
    described = describe_world(world, [])
    windows = np.unique(described.examples.windows(world.corpus))
    counts = count_windows(world.corpus, windows)
    filled = described.examples.with_similar_counts(world.corpus, counts).bands(world.first)
    every = window_hashes(world.corpus, np.array(world.counted())).tolist()
    n_seen = 0
    for before, after in zip(described.batch.examples, filled, strict=True):
        slots = world.corpus.context_slot[after.context_index] + after.peak_position
        expected = [every.count(h) for h in window_hashes(world.corpus, slots).tolist()]
        assert expected == after.n_similar.tolist()
        assert min(expected) >= 1
        assert np.uint32 == after.n_similar.dtype
        for column in fields(ExampleBand):
            if column.name != "n_similar":
                np.testing.assert_array_equal(getattr(before, column.name), getattr(after, column.name))
        n_seen = max(n_seen, *expected)
    assert n_seen > 1


def test_without_examples_there_are_no_windows_and_no_bands():
    world = make_world(21, "small integers")
    none = np.full((world.n_features, 2, 1), -1)
    octaves = np.full((world.n_features, 2, N_OCTAVES, 1), -1)
    tables = FiringTables(none, none, octaves)
    events = PairEvents(firing_pairs(tables, world.corpus)).result()
    n_in_band = np.zeros((world.n_features, len(BAND_NAMES)), dtype=np.int64)
    table = build_examples(list_examples(tables, none, none), events, n_in_band, world.corpus)
    windows = np.unique(table.windows(world.corpus))
    assert 0 == len(windows)
    assert [] == table.with_similar_counts(world.corpus, count_windows(world.corpus, windows)).bands(0)


def test_duplicates_are_filled_in_with_their_flag():
    batch = describe_world(make_world(21, "small integers"), []).batch
    duplicate_of = np.array([-1, 0, -1, 7, -1])
    filled = with_duplicates(batch, duplicate_of)
    assert duplicate_of.tolist() == filled.duplicate_of.tolist()
    flag = np.uint32(FeatureFlag.DUPLICATE)
    assert [False, True, False, True, False] == ((filled.flags & flag) > 0).tolist()
    np.testing.assert_array_equal(batch.flags, filled.flags & ~flag)
    assert [-1] * 5 == batch.duplicate_of.tolist()
