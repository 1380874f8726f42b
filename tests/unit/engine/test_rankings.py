"""The largest of each row, ties by column, as a plain sort has them."""

import numpy as np
import pytest
import torch

from featlas.engine.rankings import find_largest


@pytest.mark.parametrize("n_different", [2, 5, 1000])
@pytest.mark.parametrize("k", [0, 1, 4, 20])
def test_largest_first_and_ties_by_column(n_different: int, k: int) -> None:
    chance = np.random.default_rng(n_different)
    values = chance.integers(0, n_different, (30, 20)).astype(np.float32)
    found, at = find_largest(torch.from_numpy(values), k)
    order = np.lexsort((np.broadcast_to(np.arange(20), values.shape), -values))[:, :k]
    assert order.tolist() == at.tolist()
    assert np.take_along_axis(values, order, 1).tolist() == found.tolist()
