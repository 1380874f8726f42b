"""Documents are tokenised in the order of the plan, without holding a corpus in memory.

Order `hash`: by hash(seed, document key), so that every prefix is a random sample. Documents are tokenised in the order
in which they lie in their files, spooled to the disk and read back in the plan's order. Where only N tokens are wanted,
a first pass hashes and sizes every document (24 bytes of memory each), and only those with the smallest hashes are
tokenised. Order `file`: as they come. Streamed data sets pass a seeded shuffle buffer instead of the sort.
"""

import unicodedata
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlas.core.hashing import hash_arrays, hash_bytes
from featlas.errors import ConflictError, InputError
from featlas.pipeline.progress import Progress, Stop
from featlas.pipeline.token_spool import PlannedDocument, TokenSpool
from featlas.sources.texts import Document, is_streamed, read_documents
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import TextSpec

SHUFFLE_BUFFER = 10_000
_BATCH_DOCUMENTS = 256
_BATCH_CHARACTERS = 500_000
_TOKENS_PER_BYTE = 1 / 6
"""Before any text was tokenised: fewer than usual, so that the first choice of documents is mostly enough."""


@dataclass(frozen=True)
class Reading:
    """What reading needs to know: which texts, through which tokenizer, who is told."""

    spec: TextSpec
    tokenizer: Tokenizer
    prepend_bos: bool
    progress: Progress
    stop: Stop


def describe_order(spec: TextSpec) -> str:
    """The order in force, for the plan: `hash`, `file` or `shuffle buffer of 10000 documents`."""
    if spec.order == "file":
        return "file"
    return f"shuffle buffer of {SHUFFLE_BUFFER} documents" if is_streamed(spec) else "hash"


def read_in_plan_order(
    reading: Reading, n_tokens: int | None, spool_folder: Path
) -> Generator[PlannedDocument, None, None]:
    """Iterate the tokenised documents in plan order, empty ones too; closing it removes its spool files.

    n_tokens says how many tokens the caller will want, as far as it knows; all documents come if it keeps asking.
    """
    spec = reading.spec
    if spec.order == "hash" and not is_streamed(spec):
        yield from _read_in_hash_order(reading, n_tokens, spool_folder)
        return
    documents = _stopping(read_documents(spec), reading.stop)
    reading.progress.phase("tokenise", None, "documents")
    if spec.order == "hash":
        documents = shuffle(documents, spec.seed)
    yield from _tokenise(documents, reading)


def document_key(document: Document) -> int:
    """64-bit hash of the text's UTF-8, or of the token ids where there is no text."""
    if document.text is not None:
        return hash_bytes(document.text.encode())
    assert document.token_ids is not None
    return hash_bytes(document.token_ids.astype("<u4").tobytes())


def normalise(text: str) -> str:
    """Text up to case, compatibility forms and white space: equal for what a reader calls the same text."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def shuffle(documents: Iterable[Document], seed: int, size: int = SHUFFLE_BUFFER) -> Iterator[Document]:
    """A seeded shuffle through a buffer: each document leaves it at a moment chosen by hash."""
    buffer: list[Document] = []
    for n, document in enumerate(documents):
        if len(buffer) < size:
            buffer.append(document)
            continue
        place = int(hash_arrays(seed, np.array(n))) % size
        yield buffer[place]
        buffer[place] = document
    for place in np.argsort(hash_arrays(seed + 1, np.arange(len(buffer))), kind="stable"):
        yield buffer[place]


def _stopping(documents: Iterable[Document], stop: Stop) -> Iterator[Document]:
    for document in documents:
        stop.check()
        yield document


def _tokenise(documents: Iterable[Document], reading: Reading) -> Iterator[PlannedDocument]:
    """Tokenise in batches of bounded size."""
    batch: list[Document] = []
    n_characters = 0
    for document in documents:
        batch.append(document)
        n_characters += len(document.text or "")
        if len(batch) == _BATCH_DOCUMENTS or n_characters >= _BATCH_CHARACTERS:
            yield from _tokenise_batch(batch, reading)
            batch, n_characters = [], 0
    yield from _tokenise_batch(batch, reading)


def _tokenise_batch(batch: list[Document], reading: Reading) -> Iterator[PlannedDocument]:
    encoded = iter(reading.tokenizer.encode_batch([d.text for d in batch if d.text is not None]))
    for document in batch:
        token_ids = next(encoded) if document.text is not None else _own_token_ids(document, reading)
        text = document.text
        if text is None:
            text = reading.tokenizer.decode_bytes(token_ids).decode(errors="replace")
        row = {"source": document.source, "external_id": document.external_id or "", "metadata": document.metadata}
        content_key = hash_bytes(normalise(text).encode(), seed=reading.spec.seed)
        yield PlannedDocument(token_ids, document_key(document), content_key, row)
        reading.progress.advance()


def _own_token_ids(document: Document, reading: Reading) -> NDArray[np.uint32]:
    """Ids of a set that is already tokenised; its own leading BOS makes way for the one that every context gets."""
    token_ids = document.token_ids
    assert token_ids is not None
    tokenizer = reading.tokenizer
    if len(token_ids) and int(token_ids.max()) >= tokenizer.n_vocab:
        raise InputError(
            f"{document.source}, row {document.external_id}: token id {int(token_ids.max())}, but the model has "
            f"{tokenizer.n_vocab} ids; the set was tokenised for another model"
        )
    if reading.prepend_bos and len(token_ids) and int(token_ids[0]) == tokenizer.bos_id:
        return token_ids[1:]
    return token_ids


# Order by hash

_Choose = Callable[[int, Document], bool]  # by ordinal and document


@dataclass(frozen=True)
class _Sizes:
    """What the first pass knows of each document, by ordinal: key, and size in UTF-8 bytes (4 for a ready token id)."""

    key: NDArray[np.uint64]
    size: NDArray[np.uint64]


def _read_in_hash_order(reading: Reading, n_tokens: int | None, folder: Path) -> Iterator[PlannedDocument]:
    if n_tokens is None:
        reading.progress.phase("tokenise", None, "documents")
        yield from _read_spooled(reading, lambda ordinal, document: True, folder)
        return
    sizes = _measure_documents(reading)
    order = np.argsort(hash_arrays(reading.spec.seed, sizes.key), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ends = np.cumsum(sizes.size[order].astype(np.float64))
    done, n_read, rate = 0, 0, _TOKENS_PER_BYTE
    while done < len(order):
        # An extension reads all files once more, so it asks for a tenth of the whole at least.
        wanted = max(n_tokens - n_read, n_tokens // 10, 1) / rate
        before = float(ends[done - 1]) if done else 0.0
        upto = min(int(np.searchsorted(ends, before + wanted)) + 1, len(order))
        reading.progress.phase("tokenise", upto - done, "documents")
        choose = _chooser((rank >= done) & (rank < upto), sizes.key)
        for document in _read_spooled(reading, choose, folder):
            n_read += len(document.token_ids)
            done += 1
            yield document
        if done < upto:
            raise ConflictError("a text became shorter while it was read; start again once it is complete")
        rate = max(0.9 * n_read / float(ends[done - 1]), 1e-6) if ends[done - 1] else rate


def _measure_documents(reading: Reading) -> _Sizes:
    reading.progress.phase("read", None, "documents")
    key, size = array("Q"), array("Q")
    for document in _stopping(read_documents(reading.spec), reading.stop):
        key.append(document_key(document))
        text, token_ids = document.text, document.token_ids
        size.append(len(text.encode()) if text is not None else 4 * len(token_ids if token_ids is not None else ()))
        reading.progress.advance()
    return _Sizes(np.asarray(key), np.asarray(size))


def _chooser(is_chosen: NDArray[np.bool_], key: NDArray[np.uint64]) -> _Choose:
    """Whether a document is among the chosen; raises ConflictError where the files are not those of the first pass."""

    def choose(ordinal: int, document: Document) -> bool:
        if ordinal >= len(is_chosen) or (is_chosen[ordinal] and document_key(document) != int(key[ordinal])):
            raise ConflictError(f"{document.source} changed while it was read; start again once it is complete")
        return bool(is_chosen[ordinal])

    return choose


def _read_spooled(reading: Reading, choose: _Choose, folder: Path) -> Iterator[PlannedDocument]:
    """Tokenise the chosen documents as they come, then give them in hash order; ties go by their place in the files."""
    documents = _stopping(read_documents(reading.spec), reading.stop)
    chosen = (document for ordinal, document in enumerate(documents) if choose(ordinal, document))
    with TokenSpool(folder) as spool:
        for document in _tokenise(chosen, reading):
            spool.append(document)
        yield from spool.read(np.argsort(hash_arrays(reading.spec.seed, spool.keys()), kind="stable"))
