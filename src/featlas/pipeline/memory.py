"""Gives back to the system what allocators keep for later, so that a long pass holds no more than a short one.

Batches of ever other lengths leave holes in the heap between what lives on; glibc keeps them, more with every block.
Arrow keeps the pages of the largest part of a file that it has read.
"""

import ctypes
from collections.abc import Callable

import pyarrow as pa


def _find_trim() -> Callable[[int], int] | None:
    """`malloc_trim` of glibc; None where the C library has none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


_trim = _find_trim()


def give_back_memory() -> None:
    """Return all pages that nothing lives on, those of a C library that cannot excepted. Takes milliseconds."""
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)
