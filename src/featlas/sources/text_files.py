"""Plain, JSONL, CSV and Parquet files are read row by row, so that a file may be larger than memory."""

import contextlib
import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet

from featlas.errors import ExternalError, InputError
from featlas.sources.text_rows import Document, Row, read_rows

_BOM = b"\xef\xbb\xbf"
_PARQUET_ROWS = 256
_MAX_CSV_FIELD = 2**31 - 1


def read_file(path: Path, source: str, text_field: str, tokens_field: str) -> Iterator[Document]:
    """The documents of one file, by its suffix; raises InputError where the file is broken or the suffix unknown."""
    suffix = find_suffix(path)
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown suffix; expected one of {' '.join(SUFFIXES)}")
    with _read_errors_named(path):
        if suffix.startswith(".txt"):
            text = decode(path, _read_whole(path), 0)
            yield Document(text, None, source, None, {})
        else:
            yield from read_rows(_READERS[suffix](path), source, text_field, tokens_field)


def find_suffix(path: Path) -> str:
    """The suffix that says how to read a file: `.jsonl`, `.jsonl.gz` …; in lower case."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


@contextlib.contextmanager
def _read_errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: broken gzip ({error}); copy or download the file again") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{path}: broken Parquet ({error}); copy or download the file again") from error
    except OSError as error:
        if error.errno is None:  # Arrow's word for content that it cannot read
            raise InputError(f"{path}: broken file ({error}); copy or download the file again") from error
        raise ExternalError(f"could not read {path}: {error.strerror or error}; check that it may be read") from error


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _read_whole(path: Path) -> bytes:
    with _open(path) as file:
        return file.read()


def decode(path: Path, content: bytes, offset: int) -> str:
    """UTF-8 text that starts at a byte offset of a file, without a BOM; InputError names the first bad byte."""
    n_bom = len(_BOM) if offset == 0 and content.startswith(_BOM) else 0
    try:
        return content[n_bom:].decode()
    except UnicodeDecodeError as error:
        at = offset + n_bom + error.start
        guess = " (it looks like UTF-16)" if offset == 0 and content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise InputError(f"{path}: not UTF-8 at byte {at}{guess}; convert the file, for example with iconv") from error


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1 on, line with its end); lines end at \\n only."""
    offset = 0
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            yield number, decode(path, line, offset)
            offset += len(line)


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in _read_lines(path):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not JSON ({error}); each line must be one JSON object") from error
        if not isinstance(values, dict):
            raise InputError(
                f"{place}: a JSON {type(values).__name__}; each line must be one JSON object with a text field"
            )
        yield Row(place, number, values)


def _read_csv(path: Path) -> Iterator[Row]:
    # The limit is the module's own and only guards memory; texts are often longer than its 128 KiB.
    csv.field_size_limit(_MAX_CSV_FIELD)
    reader = csv.reader((line for _, line in _read_lines(path)), strict=True)
    header: list[str] | None = None
    n_rows = 0
    while True:
        first_line = reader.line_num + 1
        place = f"{path}:{first_line}"
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{place}: broken CSV ({error}); check the quotes of this row") from error
        if fields is None:
            return
        if not fields:
            continue
        if header is None:
            header = _distinct_names(fields, place)
            continue
        n_rows += 1
        if len(fields) != len(header):
            raise InputError(
                f"{place}: {len(fields)} fields, but the header has {len(header)}; check the quotes and commas"
            )
        yield Row(place, n_rows, dict(zip(header, fields, strict=True)))


def _distinct_names(header: list[str], place: str) -> list[str]:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(
            f"{place}: the header names {twice[0]!r} more than once; rename one, or a column would be lost"
        )
    return header


def give_back_read_pages() -> None:
    """Return the pages that Arrow keeps of the largest part of a file, once nobody holds a row of it."""
    pa.default_memory_pool().release_unused()


def _read_parquet(path: Path) -> Iterator[Row]:
    number = 0
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{path}, row {number}", number, values)


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".jsonl.gz": _read_jsonl,
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".parquet": _read_parquet,
}
SUFFIXES = (".txt", ".txt.gz", *_READERS)
