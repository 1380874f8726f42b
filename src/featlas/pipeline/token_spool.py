"""Tokenised documents wait on the disk for their turn, so that sorting a corpus needs no memory for its tokens."""

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featlas.store.atomic_files import disk_errors_named


@dataclass(frozen=True, eq=False)
class PlannedDocument:
    """A tokenised document. `content_key` is of the normalised text and seeded; it decides split and group."""

    token_ids: NDArray[np.uint32]
    key: int
    content_key: int
    row: dict[str, Any]  # source, external_id, metadata


class TokenSpool:
    """Documents in the order of appending, read back in any order; its two files are gone when it is closed.

    Memory: 40 bytes per document.
    """

    def __init__(self, folder: Path) -> None:
        self._tokens_path = folder / "spool.tokens"
        self._rows_path = folder / "spool.rows"
        self._keys, self._content_keys = array("Q"), array("Q")
        self._token_ends, self._row_ends = array("Q", [0]), array("Q", [0])
        with disk_errors_named(self._tokens_path):
            self._tokens = self._tokens_path.open("w+b")
            self._rows = self._rows_path.open("w+b")

    def __enter__(self) -> "TokenSpool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors_named(self._tokens_path):
            for file, path in ((self._tokens, self._tokens_path), (self._rows, self._rows_path)):
                path.unlink(missing_ok=True)
                file.close()

    def append(self, document: PlannedDocument) -> None:
        """Add a document at the end."""
        row = json.dumps(document.row).encode()
        with disk_errors_named(self._tokens_path):
            self._tokens.write(document.token_ids.astype("<u4").tobytes())
            self._rows.write(row)
        self._keys.append(document.key)
        self._content_keys.append(document.content_key)
        self._token_ends.append(self._token_ends[-1] + 4 * len(document.token_ids))
        self._row_ends.append(self._row_ends[-1] + len(row))

    def keys(self) -> NDArray[np.uint64]:
        """The keys of all documents so far. Shape [n]."""
        return np.array(self._keys, dtype=np.uint64)

    def read(self, order: Iterable[int]) -> Iterator[PlannedDocument]:
        """Iterate documents by their number."""
        for i in order:
            content = _read_span(self._tokens, self._token_ends, i)
            token_ids = np.frombuffer(content, dtype="<u4").astype(np.uint32)
            row: dict[str, Any] = json.loads(_read_span(self._rows, self._row_ends, i))
            yield PlannedDocument(token_ids, self._keys[i], self._content_keys[i], row)


def _read_span(file: BinaryIO, ends: "array[int]", i: int) -> bytes:
    file.seek(ends[i])
    return file.read(ends[i + 1] - ends[i])
