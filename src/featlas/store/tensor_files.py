"""Checksummed safetensors files that are read slice by slice, so that a feature range costs what it holds."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from featlas.store.atomic_files import write_atomically

_METADATA_KEY = "featlas"
_DTYPES = {
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
}


def save_tensors(path: Path, arrays: Mapping[str, NDArray], metadata: Mapping[str, str]) -> None:
    """Write arrays as one safetensors file, atomically, with a sha256 of everything in it in its metadata."""
    dense = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    sha256 = _content_sha256(((name, dense[name]) for name in sorted(dense)), metadata)
    # One entry only: the library writes several in no fixed order, and same content shall give the same file.
    header = json.dumps({**metadata, "sha256": sha256}, sort_keys=True)
    write_atomically(path, safetensors.numpy.save(dense, {_METADATA_KEY: header}))


def _content_sha256(arrays: Iterable[tuple[str, NDArray]], metadata: Mapping[str, str]) -> str:
    """sha256 over metadata and, in the order given, each array's name, type, shape and content."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, array in arrays:
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class TensorEntry:
    """Where one array lies in a file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int  # byte offset in the file
    n_bytes: int


@dataclass(frozen=True)
class TensorFile:
    """The header of a safetensors file; `read` fetches one array, or rows of it, by its own small read."""

    path: Path
    entries: dict[str, TensorEntry]
    metadata: dict[str, str]

    def read(self, name: str, first: int = 0, n: int | None = None) -> NDArray:
        """Rows first … first + n − 1 of an array (all from first on where n is None); reads no other byte of it."""
        entry = self.entries[name]
        row_bytes = entry.dtype.itemsize * int(np.prod(entry.shape[1:], dtype=np.int64))
        n_rows = entry.shape[0] - first if n is None else n
        if first < 0 or n_rows < 0 or first + n_rows > entry.shape[0]:
            raise IndexError(f"rows {first}:{first + n_rows} of {name} in {self.path}, which has {entry.shape[0]}")
        with self.path.open("rb", buffering=0) as file:
            content = _read_exactly(file, entry.start + first * row_bytes, n_rows * row_bytes)
        return np.frombuffer(content, dtype=entry.dtype).reshape(n_rows, *entry.shape[1:])

    def is_intact(self) -> bool:
        """Whether the content is what was written: compares the sha256, reading the file once."""
        metadata = {key: text for key, text in self.metadata.items() if key != "sha256"}
        arrays = ((name, self.read(name)) for name in sorted(self.entries))
        return _content_sha256(arrays, metadata) == self.metadata.get("sha256")


def _read_exactly(file: BinaryIO, start: int, n_bytes: int) -> bytearray:
    """n bytes from an unbuffered file; raises ValueError where it ends before."""
    content = bytearray(n_bytes)
    view = memoryview(content)
    file.seek(start)
    done = 0
    while done < n_bytes:
        n_read = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not n_read:
            raise ValueError(f"ends at byte {start + done}, expected {start + n_bytes}")
        done += n_read
    return content


def open_tensors(path: Path) -> TensorFile:
    """Read the header of a safetensors file; raises ValueError with the reason where it is truncated or not one."""
    n_bytes = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        n_header = int.from_bytes(_read_exactly(file, 0, 8), "little")
        if 8 + n_header > n_bytes:
            raise ValueError(f"{n_bytes} bytes, too short for its header")
        header = json.loads(bytes(_read_exactly(file, 8, n_header)))
    try:
        metadata = dict(json.loads(header.pop("__metadata__", {})[_METADATA_KEY]))
        entries = {name: _parse_entry(fields, 8 + n_header) for name, fields in header.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its header is not one of Featlas' ({error!r})") from error
    expected = max((entry.start + entry.n_bytes for entry in entries.values()), default=8 + n_header)
    if expected != n_bytes:
        raise ValueError(f"{n_bytes} bytes, expected {expected}")
    return TensorFile(path, entries, metadata)


def _parse_entry(fields: dict, data_start: int) -> TensorEntry:
    dtype = np.dtype(_DTYPES[fields["dtype"]])
    shape = tuple(int(n) for n in fields["shape"])
    start, end = (int(offset) for offset in fields["data_offsets"])
    if start < 0 or end - start != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ValueError("its header does not add up")
    return TensorEntry(dtype, shape, data_start + start, end - start)
