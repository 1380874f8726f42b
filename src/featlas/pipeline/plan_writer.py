"""Tokenised documents are packed, laid into slots and written to the plan's arrays as they come."""

import hashlib
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlas.core.packing import (
    PackedContexts,
    PackedStream,
    concatenate_contexts,
    fill_slots,
    find_context_of_slots,
    lay_into_slots,
    pack_documents,
)
from featlas.domain import N_GROUPS, Cause, Split
from featlas.pipeline.token_spool import PlannedDocument
from featlas.store.artifacts import DOCUMENTS_FILE
from featlas.store.atomic_files import ArrayWriter, disk_errors_named

_ARRAYS = {
    "token_ids": np.uint32,
    "cause": np.uint8,
    "context_slot": np.int64,
    "context_n": np.int64,
    "context_document": np.uint32,
    "context_token_offset": np.uint32,
    "document_split": np.uint8,
    "document_group": np.uint8,
    "document_key": np.uint64,
    "document_n_tokens": np.int64,
    "segment_slot": np.int64,
    "segment_n": np.int64,
    "segment_document": np.uint32,
    "segment_token_offset": np.uint32,
}


@dataclass(frozen=True)
class Layout:
    """How contexts are cut and laid; bos_id is None where no BOS is put in front; n_positions None reads everything."""

    ctx_len: int
    packing: str
    bos_id: int | None
    block_slots: int
    n_positions: int | None


def split_of(content_key: int) -> Split:
    """A quarter of the documents is the score split: those whose key begins with two zero bits."""
    return Split.SCORE if content_key >> 62 == 0 else Split.LABEL


def group_of(content_key: int) -> int:
    """The jackknife group, from the key's last bits, which say nothing about the split."""
    return content_key % N_GROUPS


class PlanWriter:
    """Writes the plan's arrays; documents are numbered in the order in which their tokens first appear."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self._layout = layout
        self._streams = {split: PackedStream(layout.ctx_len, layout.bos_id) for split in Split}
        self._pending: dict[int, PlannedDocument] = {}  # those of which no token was written yet, by arrival
        self._index_of_arrival = array("q")
        self._n_tokens_of_document = array("q")
        self._next_slot = 0
        self._tokens_digest = hashlib.sha256()
        self._arrays = {name: ArrayWriter(folder / f"{name}.npy", dtype) for name, dtype in _ARRAYS.items()}
        self.n_tokens = 0
        self._n_positions = 0
        self.n_empty = 0
        self.is_full = False
        with disk_errors_named(folder / DOCUMENTS_FILE):
            self._documents = (folder / DOCUMENTS_FILE).open("xb")

    @property
    def n_contexts(self) -> int:
        """Contexts written so far."""
        return self._arrays["context_slot"].n

    @property
    def n_slots(self) -> int:
        """Slots written so far, gaps included."""
        return self._arrays["token_ids"].n

    @property
    def n_documents(self) -> int:
        """Documents of which at least one token was written."""
        return len(self._n_tokens_of_document)

    def add(self, documents: Sequence[PlannedDocument]) -> None:
        """Pack and write documents, up to the context in which the last wanted token is; then `is_full`."""
        self.n_empty += sum(len(document.token_ids) == 0 for document in documents)
        documents = [document for document in documents if len(document.token_ids)]
        first = len(self._index_of_arrival)
        self._index_of_arrival.extend([-1] * len(documents))
        self._pending |= {first + n: document for n, document in enumerate(documents)}
        if self._layout.packing == "packed":
            parts = [
                self._streams[split_of(document.content_key)].add(document.token_ids, first + n)
                for n, document in enumerate(documents)
            ]
            self._write(concatenate_contexts(parts))
            return
        tokens = [document.token_ids for document in documents]
        self._write(pack_documents(tokens, first, self._layout.ctx_len, self._layout.bos_id))
        self._pending.clear()

    def finish(self) -> None:
        """Write what still waits for a full context, the gaps at the end and the arrays that need them all."""
        for stream in self._streams.values():
            if not self.is_full:
                self._write(stream.flush())
        n_gaps = -self._next_slot % self._layout.block_slots
        self._append(token_ids=np.zeros(n_gaps, np.uint32), cause=np.full(n_gaps, Cause.PADDING, np.uint8))
        self._append(document_n_tokens=np.asarray(self._n_tokens_of_document))
        for writer in self._arrays.values():
            writer.close()
        with disk_errors_named(self._folder / DOCUMENTS_FILE):
            self._documents.close()
        self._write_context_of_slot()

    def discard(self) -> None:
        """Close the files without finishing them."""
        for writer in self._arrays.values():
            writer.discard()
        self._documents.close()

    def corpus_fingerprint(self) -> str:
        """sha256 of the token ids (as laid, without BOS) and of each document's length and split."""
        digest = self._tokens_digest.copy()
        digest.update(np.asarray(self._n_tokens_of_document, dtype="<i8").tobytes())
        digest.update(np.load(self._folder / "document_split.npy").tobytes())
        return digest.hexdigest()

    def _write(self, packed: PackedContexts) -> None:
        packed = self._cut(packed)
        if packed.n_contexts == 0:
            return
        documents = self._number_documents(packed)
        n = np.diff(packed.indptr)
        context_slot = lay_into_slots(n, self._next_slot, self._layout.block_slots)
        token_ids, cause = fill_slots(packed, context_slot, self._next_slot)
        first = packed.first_segment()
        self._append(
            token_ids=token_ids,
            cause=cause,
            context_slot=context_slot,
            context_n=n,
            context_document=documents[first],
            context_token_offset=packed.segment_token_offset[first],
        )
        context = np.searchsorted(packed.indptr, packed.segment_start, side="right") - 1
        self._append(
            segment_slot=context_slot[context] + packed.segment_start - packed.indptr[context],
            segment_n=packed.segment_n,
            segment_document=documents,
            segment_token_offset=packed.segment_token_offset,
        )
        self._next_slot = int(context_slot[-1] + n[-1])
        self._tokens_digest.update(packed.token_ids[~packed.is_bos].astype("<u4").tobytes())

    def _cut(self, packed: PackedContexts) -> PackedContexts:
        """Leave off what lies behind the context in which the last wanted position, BOS included, is read."""
        if self.is_full:
            return packed.head(0)
        read = self._n_positions + packed.indptr[1:].astype(np.int64)
        if self._layout.n_positions is not None and len(read) and read[-1] >= self._layout.n_positions:
            self.is_full = True
            packed = packed.head(int(np.searchsorted(read, self._layout.n_positions)) + 1)
        self._n_positions += int(packed.indptr[-1])
        self.n_tokens += int(packed.n_read().sum())
        return packed

    def _number_documents(self, packed: PackedContexts) -> NDArray[np.int64]:
        """The index of each segment's document; those met for the first time are written down. Shape [n_segments]."""
        arrivals, first, inverse = np.unique(packed.segment_document, return_index=True, return_inverse=True)
        new: list[PlannedDocument] = []
        for arrival in arrivals[np.argsort(first)].tolist():
            if self._index_of_arrival[arrival] < 0:
                self._index_of_arrival[arrival] = self.n_documents
                self._write_document_row(self.n_documents, self._pending[arrival])
                new.append(self._pending.pop(arrival))
                self._n_tokens_of_document.append(0)
        self._append(
            document_split=np.array([split_of(d.content_key) for d in new], dtype=np.uint8),
            document_group=np.array([group_of(d.content_key) for d in new], dtype=np.uint8),
            document_key=np.array([d.key for d in new], dtype=np.uint64),
        )
        index = np.array([self._index_of_arrival[arrival] for arrival in arrivals.tolist()], dtype=np.int64)
        n_tokens = np.bincount(inverse, weights=packed.segment_n).astype(np.int64)
        for document, n in zip(index.tolist(), n_tokens.tolist(), strict=True):
            self._n_tokens_of_document[document] += n
        return index[inverse]

    def _write_document_row(self, index: int, document: PlannedDocument) -> None:
        row = {"document_index": index, **document.row, "split": int(split_of(document.content_key))}
        with disk_errors_named(self._folder / DOCUMENTS_FILE):
            self._documents.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")

    def _append(self, **arrays: NDArray) -> None:
        for name, values in arrays.items():
            self._arrays[name].append(values)

    def _write_context_of_slot(self) -> None:
        """Block by block, once all contexts are known: a gap holds the number of contexts."""
        block_slots = self._layout.block_slots
        context_slot = np.load(self._folder / "context_slot.npy", mmap_mode="r")
        context_n = np.load(self._folder / "context_n.npy", mmap_mode="r")
        writer = ArrayWriter(self._folder / "context_of_slot.npy", np.uint32)
        for start in range(0, self._arrays["token_ids"].n, block_slots):
            writer.append(find_context_of_slots(start, block_slots, context_slot, context_n))
        writer.close()
