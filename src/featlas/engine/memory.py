"""Gives back to the system what the C library keeps for later, so that a long pass holds no more than a short one.

Batches of ever other lengths leave holes in the heap between what lives on; glibc keeps them, more with every batch.
"""

import ctypes
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    """`malloc_trim` of glibc; None where the C library has none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


_trim = _find_trim()


def give_back_memory() -> None:
    """Return all pages that nothing lives on; nothing where the C library cannot. Takes milliseconds."""
    if _trim is not None:
        _trim(0)
