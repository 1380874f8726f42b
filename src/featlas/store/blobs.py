"""How arrays lie in BLOB columns: compact, little-endian, readable from any language with docs/store.md in hand."""

import struct

import numpy as np
from numpy.typing import DTypeLike, NDArray

from featlas.domain import ExampleBand
from featlas.errors import ExternalError

_EXAMPLES = struct.Struct("<II")
_SPARSE = struct.Struct("<I")


def pack_array(values: NDArray, dtype: DTypeLike) -> bytes:
    """A flat array in the given type, little-endian; raises OverflowError where an integer does not fit."""
    kind = np.dtype(dtype).newbyteorder("<")
    packed = np.ascontiguousarray(values, dtype=kind)
    if kind.kind in "iu" and not np.array_equal(packed, values):
        raise OverflowError(f"a value does not fit {kind}: {np.asarray(values).min()} … {np.asarray(values).max()}")
    return packed.tobytes()


def unpack_array(blob: bytes, dtype: DTypeLike) -> NDArray:
    """The flat array in a blob made by `pack_array`; read-only."""
    return np.frombuffer(blob, dtype=np.dtype(dtype).newbyteorder("<"))


def pack_sparse(counts: NDArray[np.int64]) -> bytes:
    """Mostly zero counts of at most 65,536 cells: u32 size, then i64 counts and u16 places of the non-zeros."""
    flat = counts.ravel()
    place = np.flatnonzero(flat)
    return _SPARSE.pack(flat.size) + pack_array(flat[place], "<i8") + pack_array(place, "<u2")


def unpack_sparse(blob: bytes) -> NDArray[np.int64]:
    """The counts in a blob made by `pack_sparse`, flat."""
    (size,) = _SPARSE.unpack_from(blob)
    n = (len(blob) - _SPARSE.size) // 10
    flat = np.zeros(size, dtype=np.int64)
    flat[np.frombuffer(blob, "<u2", n, _SPARSE.size + 8 * n)] = np.frombuffer(blob, "<i8", n, _SPARSE.size)
    return flat


def pack_groups(n_fires: NDArray[np.int64], total: NDArray[np.float64]) -> bytes:
    """The shares of the document groups: i64 n_fires of each, then f64 Σa of each."""
    return pack_array(n_fires, "<i8") + pack_array(total, "<f8")


def unpack_groups(blob: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`n_fires` and `sum` by group, from a blob made by `pack_groups`."""
    n = len(blob) // 16
    return np.frombuffer(blob, "<i8", n), np.frombuffer(blob, "<f8", n, 8 * n)


def pack_partners(
    partner: NDArray[np.uint32], value: NDArray[np.float32], low: NDArray[np.float32], n_both: NDArray[np.uint32]
) -> bytes:
    """The n partners of a feature: u32 partner[n], f32 value[n], f32 low[n], u32 n_both[n]."""
    return b"".join(
        (pack_array(partner, "<u4"), pack_array(value, "<f4"), pack_array(low, "<f4"), pack_array(n_both, "<u4"))
    )


def unpack_partners(blob: bytes) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """`partner`, `value`, `low` and `n_both` from a blob made by `pack_partners`."""
    n = len(blob) // 16
    partner, value, low, n_both = (
        np.frombuffer(blob, dtype, n, 4 * n * at) for at, dtype in enumerate(("<u4", "<f4", "<f4", "<u4"))
    )
    return partner, value, low, n_both


def pack_examples(band: ExampleBand) -> bytes:
    """All examples of a feature in one band: u32 n, u32 nnz, then the columns.

    u32 context_index[n], u32 n_similar[n], u32 indptr[n + 1], f32 value[nnz], u16 peak_position[n], u16 position[nnz],
    u8 split[n].
    """
    return b"".join(
        (
            _EXAMPLES.pack(len(band.context_index), len(band.value)),
            band.context_index.astype("<u4", copy=False).tobytes(),
            band.n_similar.astype("<u4", copy=False).tobytes(),
            band.indptr.astype("<u4", copy=False).tobytes(),
            band.value.astype("<f4", copy=False).tobytes(),
            band.peak_position.astype("<u2", copy=False).tobytes(),
            band.position.astype("<u2", copy=False).tobytes(),
            band.split.astype("u1", copy=False).tobytes(),
        )
    )


def unpack_examples(blob: bytes, feature_index: int, band: str, n_in_band: int) -> ExampleBand:
    """The examples in a blob made by `pack_examples`; raises ExternalError for a blob of another length."""
    n, nnz = _EXAMPLES.unpack_from(blob)
    columns = {
        "context_index": ("<u4", n),
        "n_similar": ("<u4", n),
        "indptr": ("<u4", n + 1),
        "value": ("<f4", nnz),
        "peak_position": ("<u2", n),
        "position": ("<u2", nnz),
        "split": ("u1", n),
    }
    expected = _EXAMPLES.size + sum(np.dtype(dtype).itemsize * length for dtype, length in columns.values())
    if len(blob) != expected:
        raise ExternalError(
            f"the examples of feature {feature_index}, band {band}, are damaged: {len(blob)} bytes, expected {expected}"
        )
    arrays, at = {}, _EXAMPLES.size
    for name, (dtype, length) in columns.items():
        arrays[name] = np.frombuffer(blob, dtype, length, at)
        at += arrays[name].nbytes
    return ExampleBand(feature_index=feature_index, band=band, n_in_band=n_in_band, **arrays)
