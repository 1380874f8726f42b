"""The shuffle buffer gives every row once, mixed, whatever pieces the stream comes in."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from featlas.engine.trainer import ShuffleBuffer
from featlas.errors import InputError


def pieces(sizes: list[int]) -> Iterator[Tensor]:
    """Rows that say which they are: 0, 1, 2 …"""
    start = 0
    for size in sizes:
        yield torch.arange(start, start + size, dtype=torch.float32)[:, None]
        start += size


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    capacity=st.integers(1, 50),
    size=st.integers(1, 20),
    seed=st.integers(0, 100),
)
def test_every_row_once_but_for_a_rest_that_fills_no_batch(
    sizes: list[int], capacity: int, size: int, seed: int
) -> None:
    capacity = max(capacity, 2 * size)  # as training makes it
    batches = list(ShuffleBuffer(pieces(sizes), capacity, seed).batches(size))
    given_rows = torch.cat([torch.zeros(0, 1), *batches]).flatten().tolist()
    assert all(len(batch) == size for batch in batches)
    assert len(set(given_rows)) == len(given_rows)
    assert set(given_rows) <= set(range(sum(sizes)))
    assert sum(sizes) - len(given_rows) < size


def test_batches_mix_what_lay_together() -> None:
    """Neighbours in the stream are neighbours in a document: no batch may be made of a few of them."""
    batches = list(ShuffleBuffer(pieces([100] * 50), 1000, seed=0).batches(100))
    assert len(batches) == 50
    for batch in batches:
        assert len({int(row) // 100 for row in batch.flatten().tolist()}) >= 5
        assert not torch.equal(batch.flatten(), batch.flatten().sort().values)


def test_filling_first_loses_nothing() -> None:
    """The trainer looks at a full buffer before it takes the first batch."""
    buffer = ShuffleBuffer(pieces([7, 7, 7, 7]), 10, seed=0)
    assert buffer.fill().flatten().tolist() == list(range(10))
    assert sorted(torch.cat(list(buffer.batches(4))).flatten().tolist()) == list(range(28))


def test_the_seed_decides() -> None:
    def first(seed: int) -> list[float]:
        return next(ShuffleBuffer(pieces([50]), 50, seed).batches(10)).flatten().tolist()

    assert first(0) == first(0)
    assert first(0) != first(1)


def test_it_reads_no_further_than_it_must() -> None:
    """The stream may be a model that reads texts."""
    read: list[int] = []

    def stream() -> Iterator[Tensor]:
        for n in range(100):
            read.append(n)
            yield torch.zeros(10, 1)

    next(ShuffleBuffer(stream(), 40, seed=0).batches(10))
    assert read == [0, 1, 2, 3]


def test_texts_without_an_activation_are_refused() -> None:
    with pytest.raises(InputError, match="no activation came from the texts"):
        ShuffleBuffer(iter([]), 10, seed=0).fill()
