"""The largest numbers of each row, in an order that does not depend on how the machine looks for them."""

import torch
from torch import Tensor

TILE_BYTES = 64 << 20
"""About what one tile of numbers may take; two or three of its size are in memory at a time."""


def rows_per_tile(n_columns: int) -> int:
    """How many rows of float32 numbers make a tile."""
    return max(1, TILE_BYTES // (4 * max(n_columns, 1)))


def find_largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest numbers of each row, largest first, ties by column.

    Args:
        values: shape [n_rows, n_columns], without NaN.
        k: at most n_columns.

    Returns:
        The numbers and their columns, each of shape [n_rows, k].
    """
    if k == 0:
        return values[:, :0], torch.zeros(len(values), 0, dtype=torch.long, device=values.device)
    found, at = values.topk(k, dim=1)
    last = found[:, -1:]
    # topk takes any of those that tie for the last place; the lowest columns are meant.
    for row in ((values >= last).sum(1) > k).nonzero().flatten().tolist():
        columns = (values[row] >= last[row]).nonzero().flatten()
        at[row] = columns[values[row, columns].argsort(descending=True, stable=True)[:k]]
    at = at.sort(dim=1).values
    found = values.gather(1, at)
    order = found.argsort(dim=1, descending=True, stable=True)
    return found.gather(1, order), at.gather(1, order)
