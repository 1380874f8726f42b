"""Whole counts in given shapes, for made-up runs."""

import numpy as np
from numpy.typing import NDArray


def spread(total: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole counts in these shares [n, k]; what rounding leaves goes to the largest."""
    counts = np.floor(total[:, None] * share).astype(np.int64)
    counts[np.arange(len(total)), share.argmax(axis=1)] += total - counts.sum(axis=1)
    return counts


def around(total: NDArray[np.int64], last: NDArray[np.int64], n_columns: int, n_below: int) -> NDArray[np.int64]:
    """Counts in a bell over the n_below columns up to `last`, one at least in `last` itself where there are any."""
    bell = np.exp(-(((np.arange(n_below) - 0.55 * n_below) / (0.25 * n_below)) ** 2))
    share = np.zeros((len(total), n_columns))
    columns = np.maximum(last[:, None] - n_below + 1 + np.arange(n_below), 0)
    np.put_along_axis(share, columns, np.repeat((bell / bell.sum())[None], len(total), axis=0), axis=1)
    counts = spread(np.maximum(total - 1, 0), share)
    counts[np.arange(len(total)), last] += np.minimum(total, 1)
    return counts
