import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featlas.domain import ExampleBand
from featlas.errors import ExternalError
from featlas.store.blobs import (
    pack_array,
    pack_examples,
    pack_groups,
    pack_sparse,
    unpack_array,
    unpack_examples,
    unpack_groups,
    unpack_sparse,
)


@given(hnp.arrays(np.float64, st.integers(0, 50)))
def test_arrays_come_back_bit_for_bit(values: np.ndarray):
    assert unpack_array(pack_array(values, "f8"), "f8").tobytes() == values.tobytes()


@pytest.mark.parametrize(("value", "dtype"), [(2**32, "u4"), (-1, "u2"), (70_000, "u2")])
def test_an_integer_that_does_not_fit_is_refused(value: int, dtype: str):
    with pytest.raises(OverflowError, match="does not fit"):
        pack_array(np.array([0, value]), dtype)


def test_arrays_are_little_endian_whatever_they_were():
    assert pack_array(np.array([1], dtype=">u4"), "u4") == b"\x01\0\0\0"


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=40), elements=st.sampled_from([0, 0, 0, 1, 2**62])))
def test_sparse_counts_come_back(counts: np.ndarray):
    np.testing.assert_array_equal(counts.ravel(), unpack_sparse(pack_sparse(counts)))


def test_sparse_counts_of_the_largest_size_come_back():
    counts = np.zeros(65_536, dtype=np.int64)
    counts[[0, 65_535]] = 5
    np.testing.assert_array_equal(counts, unpack_sparse(pack_sparse(counts)))


@given(hnp.arrays(np.int64, 16), hnp.arrays(np.float64, 16))
def test_groups_come_back(n_fires: np.ndarray, total: np.ndarray):
    found = unpack_groups(pack_groups(n_fires, total))
    assert [part.tobytes() for part in found] == [n_fires.tobytes(), total.tobytes()]


@st.composite
def example_bands(draw: st.DrawFn) -> ExampleBand:
    n_events = draw(st.lists(st.integers(0, 4), max_size=6))
    n, nnz = len(n_events), sum(n_events)

    def array(dtype: str, length: int) -> np.ndarray:
        return draw(hnp.arrays(np.dtype(dtype), length))

    return ExampleBand(
        feature_index=7,
        band="octave:3",
        n_in_band=draw(st.integers(0, 2**62)),
        context_index=array("u4", n),
        split=array("u1", n),
        peak_position=array("u2", n),
        n_similar=array("u4", n),
        indptr=np.concatenate([[0], np.cumsum(n_events)]).astype(np.uint32),
        position=array("u2", nnz),
        value=array("f4", nnz),
    )


ARRAYS = ("context_index", "split", "peak_position", "n_similar", "indptr", "position", "value")


@given(example_bands())
def test_examples_come_back_bit_for_bit(band: ExampleBand):
    found = unpack_examples(pack_examples(band), band.feature_index, band.band, band.n_in_band)
    assert (found.feature_index, found.band, found.n_in_band) == (7, "octave:3", band.n_in_band)
    for name in ARRAYS:
        expected, actual = getattr(band, name), getattr(found, name)
        assert (actual.dtype, actual.tobytes()) == (expected.dtype, expected.tobytes()), name


@given(example_bands(), st.integers(1, 5))
def test_a_blob_of_another_length_is_damaged(band: ExampleBand, n_more: int):
    with pytest.raises(ExternalError, match="feature 7, band octave:3, are damaged"):
        unpack_examples(pack_examples(band) + b"x" * n_more, 7, "octave:3", 0)


def test_packing_410k_examples_takes_well_under_a_second():
    """4,096 features × 4 bands × 25 examples of 8 events; the guard is five times what it took."""
    n, per_example = 25, 8
    band = ExampleBand(
        feature_index=0,
        band="top",
        n_in_band=n,
        context_index=np.arange(n, dtype=np.uint32),
        split=np.zeros(n, dtype=np.uint8),
        peak_position=np.zeros(n, dtype=np.uint16),
        n_similar=np.ones(n, dtype=np.uint32),
        indptr=np.arange(n + 1, dtype=np.uint32) * per_example,
        position=np.zeros(n * per_example, dtype=np.uint16),
        value=np.zeros(n * per_example, dtype=np.float32),
    )
    began = time.thread_time()
    for _ in range(4096 * 4):
        pack_examples(band)
    assert time.thread_time() - began < 1.0
