import numpy as np
from hypothesis import given, settings
from tests.oracles.worlds import World, cuts, make_world, worlds

from featlas.core.aggregate import Chunk, fold


@settings(max_examples=40)
@given(worlds)
def test_groups_are_features_and_contexts_with_their_peaks(world: World):
    chunk = Chunk(world.events, world.corpus)
    expected = []
    for f in range(world.n_features):
        for context, (slot, value) in world.peaks(f).items():
            n = len(world.contexts(f)[context])
            expected.append((f, context, world.document(context), world.split(context), n, slot, np.float32(value)))
    actual = zip(
        chunk.group_feature,
        chunk.group_context,
        chunk.group_document,
        chunk.group_split,
        chunk.group_n_events,
        chunk.group_peak_slot,
        chunk.group_peak,
        strict=True,
    )
    assert expected == [tuple(row) for row in actual]


@settings(max_examples=40)
@given(worlds)
def test_every_event_knows_its_feature_context_position_and_token(world: World):
    chunk, c = Chunk(world.events, world.corpus), world.corpus
    expected = []
    for f in range(world.n_features):
        for slot, _ in world.rows(f):
            context = int(c.context_of_slot[slot])
            expected.append((f, context, slot - int(c.context_slot[context]), int(c.token_ids[slot])))
    actual = list(zip(chunk.feature, chunk.context, chunk.position, chunk.token_id, strict=True))
    assert expected == actual
    assert world.n_features == chunk.n_features
    assert world.events.value is chunk.value


def test_derived_arrays_are_wide_enough_to_calculate_with():
    chunk = Chunk(make_world(3, "floats").events, make_world(3, "floats").corpus)
    for array in (
        chunk.feature,
        chunk.context,
        chunk.position,
        chunk.token_id,
        chunk.group_document,
        chunk.group_split,
    ):
        assert np.int64 == array.dtype
    assert chunk.group_peak is chunk.group_peak


@settings(max_examples=40)
@given(worlds, cuts)
def test_fold_adds_every_chunk_to_every_aggregate_in_order(world: World, at: list[int]):
    class Slots:
        def __init__(self) -> None:
            self.slots: list[list[int]] = []

        def add(self, chunk: Chunk) -> None:
            self.slots.append(chunk.events.slot.tolist())

    first, second = Slots(), Slots()
    fold(world.cut(at), world.corpus, first, second)
    assert [events.slot.tolist() for events in world.cut(at)] == first.slots == second.slots
