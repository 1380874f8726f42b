"""Seeded 64-bit hashes: every "random" choice in Featlas is one of these, so that it can be repeated anywhere.

The mixer is splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators").
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix each 64-bit integer into an evenly spread one; a bijection, so distinct inputs never collide."""
    x = np.asarray(x, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = x + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def hash_arrays(seed: int, *columns: NDArray) -> NDArray[np.uint64]:
    """One hash per row of the given integer columns (broadcast together): a chain of splitmix64, seeded."""
    state = splitmix64(np.asarray(seed % 2**64, dtype=np.uint64))
    for column in columns:
        state = splitmix64(state ^ np.asarray(column).astype(np.uint64))
    return state


def hash_bytes(content: bytes, *, seed: int = 0) -> int:
    """A 64-bit hash of a byte string: blake2b keyed by the seed."""
    key = (seed % 2**64).to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=key).digest(), "little")
