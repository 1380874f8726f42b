"""Columns of numbers as one binary answer: a browser lays typed arrays over it without parsing a single number.

u32 little-endian   length n of the header
n bytes             the header, JSON in UTF-8; `columns` lists name, dtype, offset and length of each array
zeros               up to a multiple of 8 bytes
arrays              little-endian, each at a multiple of 8 from here on; `offset` counts bytes from here
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEDIA_TYPE = "application/vnd.featlas.block"
_ALIGNMENT = 8


def pack_block(header: Mapping[str, Any], columns: Mapping[str, NDArray]) -> bytes:
    """The answer's bytes. 64-bit integers become float64, which JavaScript can lay an array over."""
    arrays = {name: _plain(values) for name, values in columns.items()}
    entries, parts, offset = [], [], 0
    for name, values in arrays.items():
        entries.append({"name": name, "dtype": values.dtype.str, "offset": offset, "length": len(values)})
        content = values.tobytes()
        parts.append(content + bytes(-len(content) % _ALIGNMENT))
        offset += len(parts[-1])
    text = json.dumps({**header, "columns": entries}, allow_nan=False, separators=(",", ":")).encode()
    prefix = len(text).to_bytes(4, "little") + text
    return b"".join([prefix, bytes(-len(prefix) % _ALIGNMENT), *parts])


def tag_of(*parts: object) -> str:
    """The ETag of an answer that is the same as long as these are."""
    return '"' + hashlib.sha256(repr(parts).encode()).hexdigest()[:24] + '"'


def _plain(values: NDArray) -> NDArray:
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        return values.astype("<f8")
    if values.dtype.kind == "b":
        return values.astype("|u1")
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
