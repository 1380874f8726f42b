"""Sums of products over all units for many pairs of features at once: sparse matrices multiplied into a dense tile.

Where torch has MKL its product of two sparse matrices into a dense one is used, several times as fast as SciPy's, which
stands in elsewhere. Each row of the result is summed by one thread in the order of the units, in float64.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from featlas.engine.threads import map_in_threads

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")

HAS_MKL = torch.backends.mkl.is_available()

_CELLS_AT_ONCE = 1 << 18
"""Pairs that a thread takes at a time: few enough for the processor's cache, and that threads end together."""


@dataclass(frozen=True)
class Events:
    """Events as compressed rows: row r has `[indptr[r]:indptr[r + 1]]`, columns ascending; two numbers each."""

    indptr: NDArray[np.int64]  # [n + 1], from 0
    column: NDArray[np.int32]
    value: NDArray[np.float32]
    rank: NDArray[np.int32]

    def rows(self, first: int, end: int) -> "Events":
        """Rows first … end − 1."""
        here = slice(int(self.indptr[first]), int(self.indptr[end]))
        indptr = self.indptr[first : end + 1] - self.indptr[first]
        return Events(indptr, self.column[here], self.value[here], self.rank[here])

    def numbers(self) -> tuple[NDArray[np.floating], ...]:
        """Values, ranks and ones of the events; sums of fewer than 2²⁴ ones are whole in float32 too."""
        return self.value.astype(np.float64), self.rank.astype(np.float64), np.ones(len(self.column), dtype=np.float32)


class UnitEvents:
    """The events of a stretch of fewer than 2²⁴ units, unit by unit, to be multiplied with those of some features."""

    def __init__(self, events: Events, n_features: int, *, with_mkl: bool = HAS_MKL) -> None:
        self._n_units, self._n_features = len(events.indptr) - 1, n_features
        self._with_mkl = with_mkl
        self._right = self._matrices(events, n_features)

    def add_products(self, sums: tuple[NDArray[np.float64], ...], features: Events, *, is_first: bool) -> None:
        """Add Σ a·b over these units to each of `sums` (of values, ranks and ones), of shape [t, n_features] each.

        `features` are the events of the tile's t features in these units, feature by feature, whose columns are units.
        What stands in `sums` is overwritten by the first stretch of units.
        """
        n = len(features.indptr) - 1
        n_rows = max(1, _CELLS_AT_ONCE // self._n_features)

        def add(first: int) -> None:
            end = min(first + n_rows, n)
            self._add([out[first:end] for out in sums], features.rows(first, end), is_first=is_first)

        list(map_in_threads(add, range(0, n, n_rows)))

    def _add(self, sums: list[NDArray[np.float64]], features: Events, *, is_first: bool) -> None:
        for out, left, right in zip(sums, self._matrices(features, self._n_units), self._right, strict=True):
            if not self._with_mkl:
                product = (left @ right).toarray()
                out[:] = product if is_first else out + product
            elif is_first and left.dtype == torch.float64:
                torch.addmm(torch.from_numpy(out), left, right, beta=0, out=torch.from_numpy(out))
            else:
                empty = torch.empty(out.shape, dtype=left.dtype)
                product = torch.addmm(empty, left, right, beta=0).numpy()
                out[:] = product if is_first else out + product

    def _matrices(self, events: Events, n_columns: int) -> list[Any]:
        """Values, ranks and ones as sparse matrices of whoever multiplies them, which share their places."""
        shape = (len(events.indptr) - 1, n_columns)
        if not self._with_mkl:
            return [sparse.csr_array((numbers, events.column, events.indptr), shape) for numbers in events.numbers()]
        places = torch.from_numpy(events.indptr.astype(np.int32)), torch.from_numpy(np.array(events.column))
        return [
            torch.sparse_csr_tensor(*places, torch.from_numpy(numbers), size=shape, check_invariants=False)
            for numbers in events.numbers()
        ]
