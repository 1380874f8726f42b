"""Packing against its oracle: nothing is lost, nothing is mixed, every token knows where it came from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import packing as oracle

from featlas.core import packing
from featlas.domain import Cause
from featlas.errors import InputError

documents_st = st.lists(st.lists(st.integers(0, 50), max_size=25), max_size=8)
bos_st = st.sampled_from([None, 99])


def as_arrays(documents):
    return [np.array(tokens, dtype=np.uint32) for tokens in documents]


def as_lists(packed, first_document=0):
    """PackedContexts in the oracle's form."""
    document = np.full(len(packed.token_ids), -1)
    offset = np.full(len(packed.token_ids), -1)
    for start, n, d, token_offset in zip(
        packed.segment_start, packed.segment_n, packed.segment_document, packed.segment_token_offset, strict=True
    ):
        text = start + np.flatnonzero(~packed.is_bos[start : start + n])
        assert len(text) == n, "a segment has no BOS inside"
        document[text] = d - first_document
        offset[text] = token_offset + np.arange(n)
    contexts = []
    for a, b in zip(packed.indptr[:-1], packed.indptr[1:], strict=True):
        rows = zip(packed.token_ids[a:b], packed.is_bos[a:b], document[a:b], offset[a:b], strict=True)
        contexts.append([(int(t), None, None) if bos else (int(t), int(d), int(o)) for t, bos, d, o in rows])
    return contexts


def stream_of(documents, ctx_len, bos_id):
    stream = packing.PackedStream(ctx_len, bos_id)
    parts = [stream.add(tokens, d) for d, tokens in enumerate(as_arrays(documents))]
    return packing.concatenate_contexts([*parts, stream.flush()])


@given(documents_st, st.integers(2, 12), bos_st)
def test_document_packing_equals_the_oracle(documents, ctx_len, bos_id):
    packed = packing.pack_documents(as_arrays(documents), 5, ctx_len, bos_id)
    assert as_lists(packed, 5) == oracle.pack_documents(documents, ctx_len, bos_id)


@given(documents_st, st.integers(2, 12), bos_st)
def test_packed_stream_equals_the_oracle(documents, ctx_len, bos_id):
    assert as_lists(stream_of(documents, ctx_len, bos_id)) == oracle.pack_stream(documents, ctx_len, bos_id)


@given(documents_st, st.integers(2, 12), bos_st, st.booleans())
def test_every_token_of_every_document_appears_once_and_in_order(documents, ctx_len, bos_id, is_joined):
    if is_joined:
        packed = stream_of(documents, ctx_len, bos_id)
    else:
        packed = packing.pack_documents(as_arrays(documents), 0, ctx_len, bos_id)
    read: list[list[int]] = [[] for _ in documents]
    for context in as_lists(packed):
        for token, document, offset in context:
            if document is not None:
                assert offset == len(read[document])
                read[document].append(token)
    assert read == documents
    assert np.all(np.diff(packed.indptr) <= ctx_len)


@given(documents_st, st.integers(2, 12), bos_st, st.data())
def test_head_is_the_first_contexts(documents, ctx_len, bos_id, data):
    packed = stream_of(documents, ctx_len, bos_id)
    n = data.draw(st.integers(0, packed.n_contexts))
    assert as_lists(packed.head(n)) == as_lists(packed)[:n]


def test_n_read_leaves_out_every_inserted_bos():
    packed = stream_of([[1, 2, 3], [4, 5], [6]], 4, 99)
    assert as_lists(packed)[1] == [(99, None, None), (99, None, None), (4, 1, 0), (5, 1, 1)]
    assert packed.n_read().tolist() == [3, 2, 1]
    assert packed.first_segment().tolist() == [0, 1, 2]


def test_a_bos_in_the_text_itself_is_text():
    packed = packing.pack_documents(as_arrays([[99, 1]]), 0, 4, 99)
    assert packed.is_bos.tolist() == [True, False, False]


@pytest.mark.parametrize("pack", [lambda: packing.pack_documents([], 0, 1, 0), lambda: packing.window_width(1, 7)])
def test_no_room_beside_the_bos_is_refused(pack):
    with pytest.raises(InputError, match="ctx_len 1 leaves no room"):
        pack()


@given(st.lists(st.integers(1, 16), max_size=40), st.integers(0, 40), st.integers(16, 40))
def test_laying_into_slots_equals_the_oracle(lengths, next_slot, block_slots):
    slots = packing.lay_into_slots(np.array(lengths, dtype=np.int64), next_slot, block_slots)
    assert slots.tolist() == oracle.lay_into_slots(lengths, next_slot, block_slots)


@given(st.lists(st.integers(1, 16), max_size=40), st.integers(0, 40), st.integers(16, 40))
def test_no_context_crosses_a_block_or_another_context(lengths, next_slot, block_slots):
    n = np.array(lengths, dtype=np.int64)
    slots = packing.lay_into_slots(n, next_slot, block_slots)
    assert np.all(slots // block_slots == (slots + n - 1) // block_slots)
    assert np.all(slots[1:] >= slots[:-1] + n[:-1])
    assert np.all(slots[:1] >= next_slot)


def test_a_context_longer_than_a_block_is_refused():
    with pytest.raises(InputError, match="300 tokens does not fit a block of 256"):
        packing.lay_into_slots(np.array([3, 300]), 0, 256)


def test_slots_hold_tokens_causes_and_gaps():
    packed = packing.pack_documents(as_arrays([[1, 2, 3], [4, 5]]), 0, 4, 99)
    slots = packing.lay_into_slots(np.diff(packed.indptr), 8, 6)
    assert slots.tolist() == [8, 12]
    token_ids, cause = packing.fill_slots(packed, slots, 7)
    bos, text, gap = Cause.BOS, Cause.COUNTED, Cause.PADDING
    assert token_ids.tolist() == [0, 99, 1, 2, 3, 99, 4, 5]
    assert cause.tolist() == [gap, bos, text, text, text, bos, text, text]


def test_filling_no_contexts_gives_no_slots():
    token_ids, cause = packing.fill_slots(packing.concatenate_contexts([]), np.zeros(0, dtype=np.int64), 7)
    assert len(token_ids) == len(cause) == 0


def test_context_of_slots_names_gaps():
    found = packing.find_context_of_slots(1, 8, np.array([2, 6]), np.array([3, 2]))
    assert found.tolist() == [2, 0, 0, 0, 2, 1, 1, 2]
    assert found.dtype == np.uint32


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 9), st.integers(1, 80))
def test_batches_equal_the_oracle(lengths, batch_size, min_rows):
    batches = packing.cut_batches(np.array(lengths, dtype=np.int64), batch_size, min_rows)
    assert [b.tolist() for b in batches] == oracle.cut_batches(lengths, batch_size, min_rows)


@given(st.lists(st.integers(1, 128), min_size=1, max_size=200), st.integers(1, 40))
def test_no_batch_of_a_large_enough_block_is_below_256_rows(lengths, batch_size):
    n = np.array(lengths)
    batches = packing.cut_batches(n, batch_size)
    assert sorted(np.concatenate(batches)) == list(range(len(n)))
    assert all(n[b].sum() >= min(256, n.sum()) for b in batches)
