"""Token lists become contexts and contexts become slots, so that every later part addresses text by one integer.

Two packings. `document`: each document is cut into consecutive windows, the last one shorter; a context holds one
document. `packed`: documents are joined end to end and the stream is cut into full windows, so a context may hold
several; it *belongs* to the document of its first token (`context_document`, and with it split and group), and
`segment_*` say exactly which document every token is of. Documents of the two splits are packed in streams of their
own, so that no context mixes them.

A BOS, where the model wants one, stands in front of every context and, in `packed`, also between documents, so that the
model sees where one ends. Nothing else is inserted, and no token of a document is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featlas.domain import Cause
from featlas.errors import InputError

MIN_BATCH_ROWS = 256
"""No batch ends below this many token rows: small matrix products take other code paths and round differently."""


@dataclass(frozen=True)
class PackedContexts:
    """Consecutive contexts, without gaps. A *segment* is a run of one document's tokens inside one context.

    Documents are named by the caller's numbers. Context `c` holds tokens `[indptr[c]:indptr[c + 1]]`.
    """

    token_ids: NDArray[np.uint32]  # [n_tokens] with inserted BOS
    is_bos: NDArray[np.bool_]  # [n_tokens] inserted, not of the text
    indptr: NDArray[np.int64]  # [n_contexts + 1]
    segment_start: NDArray[np.int64]  # [n_segments] index into token_ids
    segment_n: NDArray[np.int64]  # [n_segments] tokens of text, at least 1
    segment_document: NDArray[np.int64]  # [n_segments]
    segment_token_offset: NDArray[np.int64]  # [n_segments] offset in the document, in tokens

    @property
    def n_contexts(self) -> int:
        """Number of contexts."""
        return len(self.indptr) - 1

    def n_read(self) -> NDArray[np.int64]:
        """Tokens of text (without inserted BOS) per context. Shape [n_contexts]."""
        before = np.concatenate([[0], np.cumsum(~self.is_bos)])
        return np.diff(before[self.indptr])

    def first_segment(self) -> NDArray[np.int64]:
        """The first segment of each context; n_segments where none is left. Shape [n_contexts]."""
        return np.searchsorted(self.segment_start, self.indptr[:-1])

    def head(self, n_contexts: int) -> "PackedContexts":
        """The first n contexts."""
        end = int(self.indptr[n_contexts])
        n_segments = int(np.searchsorted(self.segment_start, end))
        return PackedContexts(
            self.token_ids[:end],
            self.is_bos[:end],
            self.indptr[: n_contexts + 1],
            self.segment_start[:n_segments],
            self.segment_n[:n_segments],
            self.segment_document[:n_segments],
            self.segment_token_offset[:n_segments],
        )


def window_width(ctx_len: int, bos_id: int | None) -> int:
    """Tokens of text in a full context; raises InputError where a BOS leaves no room for any."""
    width = ctx_len - (bos_id is not None)
    if width < 1:
        raise InputError(f"ctx_len {ctx_len} leaves no room for text beside the BOS token; use at least 2")
    return width


def pack_documents(
    tokens: Sequence[NDArray[np.uint32]], first_document: int, ctx_len: int, bos_id: int | None
) -> PackedContexts:
    """Cut each document into windows of at most ctx_len tokens (with the BOS in front where bos_id is given).

    Documents are numbered from first_document; empty ones give no context.
    """
    width = window_width(ctx_len, bos_id)
    n_bos = ctx_len - width
    lengths = np.array([len(t) for t in tokens], dtype=np.int64)
    n_windows = -(-lengths // width)
    document = np.repeat(np.arange(len(lengths)), n_windows)
    first_window = np.cumsum(n_windows) - n_windows
    offset = (np.arange(len(document)) - first_window[document]) * width
    n_text = np.minimum(width, lengths[document] - offset)
    indptr = np.concatenate([[0], np.cumsum(n_text + n_bos)]).astype(np.int64)
    is_bos = np.zeros(indptr[-1], dtype=np.bool_)
    token_ids = np.empty(indptr[-1], dtype=np.uint32)
    if bos_id is not None:
        is_bos[indptr[:-1]] = True
        token_ids[is_bos] = bos_id
    if len(tokens):
        token_ids[~is_bos] = np.concatenate(tokens)
    return PackedContexts(token_ids, is_bos, indptr, indptr[:-1] + n_bos, n_text, document + first_document, offset)


@dataclass
class _Piece:
    """Tokens of one document that wait for their context to fill; a separator BOS goes in front where one is due."""

    token_ids: NDArray[np.uint32]
    is_bos: NDArray[np.bool_]
    document: int
    token_offset: int  # of the first token that is not BOS


@dataclass
class PackedStream:
    """Joins documents end to end; `add` gives the contexts that a document filled, `flush` the last, shorter one."""

    ctx_len: int
    bos_id: int | None
    _pieces: list[_Piece] = field(default_factory=list)
    _n_waiting: int = 0
    _is_first: bool = True

    def add(self, token_ids: NDArray[np.uint32], document: int) -> PackedContexts:
        """Join one document's tokens; an empty document changes nothing."""
        if len(token_ids) == 0:
            return concatenate_contexts([])
        has_separator = self.bos_id is not None and not self._is_first
        is_bos = np.zeros(len(token_ids) + has_separator, dtype=np.bool_)
        if has_separator:
            is_bos[0] = True
            token_ids = np.concatenate([np.array([self.bos_id], dtype=np.uint32), token_ids])
        self._is_first = False
        self._pieces.append(_Piece(np.asarray(token_ids, dtype=np.uint32), is_bos, document, 0))
        self._n_waiting += len(token_ids)
        return self._take(self._n_waiting // window_width(self.ctx_len, self.bos_id))

    def flush(self) -> PackedContexts:
        """The context that is not full, if there is one."""
        return self._take(1 if self._n_waiting else 0)

    def _take(self, n_contexts: int) -> PackedContexts:
        if n_contexts == 0:
            return concatenate_contexts([])
        width = window_width(self.ctx_len, self.bos_id)
        n_taken = min(n_contexts * width, self._n_waiting)
        token_ids = np.concatenate([p.token_ids for p in self._pieces])
        is_bos = np.concatenate([p.is_bos for p in self._pieces])
        sizes = np.array([len(p.token_ids) for p in self._pieces])
        document = np.repeat([p.document for p in self._pieces], sizes)
        offset = self._token_offsets(is_bos, sizes)
        taken = slice(0, n_taken)
        packed = _cut_stream(
            token_ids[taken], is_bos[taken], document[taken], offset[taken], (self.ctx_len, width, self.bos_id)
        )
        # Whole windows end inside the newest piece at the earliest: older ones alone did not fill a window.
        rest = slice(n_taken, None)
        self._n_waiting -= n_taken
        self._pieces = []
        if self._n_waiting:
            self._pieces = [_Piece(token_ids[rest], is_bos[rest], int(document[-1]), int(offset[n_taken]))]
        return packed

    def _token_offsets(self, is_bos: NDArray[np.bool_], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Offset of each waiting token in its document; a separator has the offset of the token after it."""
        starts = np.cumsum(sizes) - sizes
        first = np.array([p.token_offset for p in self._pieces])
        within = np.arange(sizes.sum()) - np.repeat(starts, sizes)
        has_separator = is_bos[starts]
        return np.repeat(first, sizes) + np.maximum(within - np.repeat(has_separator, sizes), 0)


def _cut_stream(
    token_ids: NDArray[np.uint32],
    is_separator: NDArray[np.bool_],
    document: NDArray[np.int64],
    offset: NDArray[np.int64],
    widths: tuple[int, int, int | None],
) -> PackedContexts:
    """Cut a stream of tokens into windows, put the BOS in front of each and find the segments."""
    ctx_len, width, bos_id = widths
    n_bos = ctx_len - width
    n = len(token_ids)
    window = np.arange(n) // width
    n_contexts = int(window[-1]) + 1
    place = np.arange(n) + (window + 1) * n_bos  # where each token of the stream lands once the BOS are in
    indptr = np.minimum(np.arange(n_contexts + 1) * ctx_len, n + n_contexts * n_bos)
    is_bos = np.ones(indptr[-1], dtype=np.bool_)
    is_bos[place] = is_separator
    out = np.full(indptr[-1], 0 if bos_id is None else bos_id, dtype=np.uint32)
    out[place] = token_ids
    text = np.flatnonzero(~is_separator)
    is_start = np.ones(len(text), dtype=np.bool_)
    is_start[1:] = (np.diff(document[text]) != 0) | (np.diff(window[text]) != 0)
    start = np.flatnonzero(is_start)
    segment_n = np.diff(np.append(start, len(text)))
    first = text[start]
    return PackedContexts(out, is_bos, indptr, place[first], segment_n, document[first], offset[first])


def concatenate_contexts(parts: Sequence[PackedContexts]) -> PackedContexts:
    """Join runs of contexts, in order; of no parts, no contexts."""
    sizes = np.array([len(p.token_ids) for p in parts], dtype=np.int64)
    shift = np.cumsum(sizes) - sizes
    none = np.zeros(0, dtype=np.int64)
    return PackedContexts(
        np.concatenate([np.zeros(0, dtype=np.uint32), *(p.token_ids for p in parts)]),
        np.concatenate([np.zeros(0, dtype=np.bool_), *(p.is_bos for p in parts)]),
        np.concatenate([np.zeros(1, dtype=np.int64), *(p.indptr[1:] + s for p, s in zip(parts, shift, strict=True))]),
        np.concatenate([none, *(p.segment_start + s for p, s in zip(parts, shift, strict=True))]),
        np.concatenate([none, *(p.segment_n for p in parts)]),
        np.concatenate([none, *(p.segment_document for p in parts)]),
        np.concatenate([none, *(p.segment_token_offset for p in parts)]),
    )


def lay_into_slots(n: NDArray[np.int64], next_slot: int, block_slots: int) -> NDArray[np.int64]:
    """First slot of each context, in order from next_slot on; one that would cross a block's end opens the next block.

    Raises InputError where a context is longer than a block.
    """
    if len(n) and int(n.max()) > block_slots:
        raise InputError(
            f"a context of {int(n.max())} tokens does not fit a block of {block_slots} slots; raise block_slots"
        )
    ends = np.cumsum(n)
    starts = ends - n
    slots = np.empty(len(n), dtype=np.int64)
    done, slot = 0, next_slot
    while done < len(n):
        room = block_slots - slot % block_slots
        before = int(starts[done])
        upto = int(np.searchsorted(ends, before + room, side="right"))
        slots[done:upto] = starts[done:upto] - before + slot
        if upto < len(n):
            slot += room
        done = upto
    return slots


def fill_slots(
    packed: PackedContexts, context_slot: NDArray[np.int64], first_slot: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Token ids and causes of the slots from first_slot to the end of the last context; gaps hold 0 and PADDING."""
    n = np.diff(packed.indptr)
    n_slots = int(context_slot[-1] + n[-1]) - first_slot if len(n) else 0
    token_ids = np.zeros(n_slots, dtype=np.uint32)
    cause = np.full(n_slots, Cause.PADDING, dtype=np.uint8)
    place = np.arange(len(packed.token_ids)) + np.repeat(context_slot - first_slot - packed.indptr[:-1], n)
    token_ids[place] = packed.token_ids
    cause[place] = np.where(packed.is_bos, Cause.BOS, Cause.COUNTED)
    return token_ids, cause


def find_context_of_slots(
    first_slot: int, n_slots: int, context_slot: NDArray[np.int64], context_n: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """The context of each of n_slots slots from first_slot on; the number of contexts in gaps."""
    slots = np.arange(first_slot, first_slot + n_slots)
    context = np.searchsorted(context_slot, slots, side="right") - 1
    is_gap = (context < 0) | (slots >= context_slot[context] + context_n[context])
    return np.where(is_gap, len(context_slot), context).astype(np.uint32)


def cut_batches(n: NDArray[np.int64], batch_size: int, min_rows: int = MIN_BATCH_ROWS) -> list[NDArray[np.int64]]:
    """Batches of the contexts of one block, as numbers into n: longest first, then by slot, so that little is padded.

    A batch takes batch_size contexts, and more while it has fewer than min_rows tokens; a rest below min_rows joins the
    batch before it. Only a block that has fewer tokens than that gives a smaller batch.
    """
    order = np.argsort(-n, kind="stable")
    ends = np.cumsum(n[order])
    bounds = [0]
    while bounds[-1] < len(order):
        before = int(ends[bounds[-1] - 1]) if bounds[-1] else 0
        enough = int(np.searchsorted(ends, before + min_rows)) + 1
        bounds.append(min(max(bounds[-1] + batch_size, enough), len(order)))
    if len(bounds) > 2 and ends[-1] - ends[bounds[-2] - 1] < min_rows:
        del bounds[-2]
    return [order[a:b] for a, b in pairwise(bounds)]
