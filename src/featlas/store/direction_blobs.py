"""How what is said of a feature's direction lies in a BLOB: ids first, then the numbers that belong to them."""

import numpy as np
from numpy.typing import NDArray

from featlas.store.blobs import pack_array


def pack_rated(ids: NDArray[np.int64], values: NDArray[np.float32]) -> bytes:
    """`u32` ids, then an `f32` of each."""
    return pack_array(ids, "<u4") + pack_array(values, "<f4")


def unpack_rated(blob: bytes) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The ids and their numbers in a blob made by `pack_rated`."""
    n = len(blob) // 8
    return np.frombuffer(blob, "<u4", n), np.frombuffer(blob, "<f4", n, 4 * n)
