"""Writes the same rows in every format, and reads them back."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from featlas.errors import InputError
from featlas.sources.texts import read_documents
from featlas.specs import TextSpec

SCRIPTS = "emoji 👩🏽‍🚀, عربي, 中文, e\u0301, NUL \x00, tab\t, \r\n end "
ROWS = [{"text": SCRIPTS, "title": "A", "year": 1790}, {"text": "two\nlines", "title": None, "year": 2026}]


def read(*names, **fields):
    return list(read_documents(TextSpec(text=tuple(map(str, names)), **fields)))


def texts(*names, **fields):
    return [document.text for document in read(*names, **fields)]


def write_jsonl(path: Path, rows) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_csv(path: Path, rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def write_parquet(path: Path, rows) -> Path:
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = {
    "a.jsonl": write_jsonl,
    "a.jsonl.gz": write_jsonl,
    "a.csv": write_csv,
    "a.csv.gz": write_csv,
    "a.parquet": write_parquet,
    "A.PARQUET": write_parquet,
}


def assert_refused(pattern, *names, **fields):
    with pytest.raises(InputError, match=pattern):
        read(*names, **fields)
