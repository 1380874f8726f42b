"""Examples as the web draws them: a context's bytes and tokens, with one feature's events in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from featlas.domain import Band, ExampleBand, Split
from featlas.store.blobs import unpack_array, unpack_examples
from featlas.store.tables import ContextRow, FeatureActivationsRow

_CHUNK = 500


@dataclass(frozen=True)
class StoredContext:
    """A context of a run: token `i` is `text[ends[i - 1]:ends[i]]`, in bytes."""

    context: int
    document: int
    token_offset: int
    text: bytes
    ends: NDArray[np.uint32]
    token_ids: NDArray[np.uint32]


@dataclass(frozen=True)
class MarkedContext:
    """An example: `positions` and `values` are the feature's events in the context, `peak` the position shown first."""

    context: StoredContext
    band: str
    place: int
    split: Split
    n_similar: int
    peak: int
    positions: NDArray[np.uint16]
    values: NDArray[np.float32]

    @property
    def max_activation(self) -> float | None:
        """The value at the peak; None where nothing fires."""
        at = np.flatnonzero(self.positions == self.peak)
        return float(self.values[at[0]]) if len(at) else None


def read_marked(session: Session, run_id: int, bands: Sequence[tuple[ExampleBand, range]]) -> list[list[MarkedContext]]:
    """Of each band the examples at these places, with their contexts; places beyond the end are left out.

    Places count in the order in which examples are shown: the top band's by strength, others' as they are stored.
    """
    chosen = [(band, list(enumerate(_shown_order(band)))[places.start : places.stop]) for band, places in bands]
    wanted = {int(band.context_index[at]) for band, shown in chosen for _, at in shown}
    contexts = load_contexts(session, run_id, wanted)
    return [[_marked(band, place, at, contexts) for place, at in shown] for band, shown in chosen]


def read_strongest(
    session: Session, run_id: int, snapshot_id: int, indices: Sequence[int]
) -> Iterator[tuple[int, MarkedContext]]:
    """The strongest example of each of these features that has one."""
    bands = []
    for at in range(0, len(indices), _CHUNK):
        rows = session.execute(_top_bands(), {"snapshot": snapshot_id, "indices": indices[at : at + _CHUNK]})
        bands += [unpack_examples(content, index, str(Band.TOP), n_in_band) for index, n_in_band, content in rows]
    marked = read_marked(session, run_id, [(band, range(1)) for band in bands])
    for band, found in zip(bands, marked, strict=True):
        if found:
            yield band.feature_index, found[0]


@cache
def _top_bands() -> Select[int, int, bytes]:
    row = FeatureActivationsRow
    among = row.feature_index.in_(bindparam("indices", expanding=True))
    of_snapshot = (row.snapshot_id == bindparam("snapshot"), among, row.band == str(Band.TOP))
    return select(row.feature_index, row.n_in_band, row.data).where(*of_snapshot)


@cache
def _contexts() -> Select[int, int, int, bytes, bytes, bytes]:
    row = ContextRow
    columns = (row.context_index, row.document_index, row.token_offset, row.text, row.ends, row.token_ids)
    among = row.context_index.in_(bindparam("contexts", expanding=True))
    return select(*columns).where(row.run_id == bindparam("run"), among)


def load_contexts(session: Session, run_id: int, wanted: Iterable[int]) -> dict[int, StoredContext]:
    """Stored contexts of a run by their index."""
    ordered = sorted(wanted)
    contexts = {}
    for at in range(0, len(ordered), _CHUNK):
        rows = session.execute(_contexts(), {"run": run_id, "contexts": ordered[at : at + _CHUNK]})
        for context, document, token_offset, text, ends, token_ids in rows:
            unpacked = unpack_array(ends, "<u4"), unpack_array(token_ids, "<u4")
            contexts[context] = StoredContext(context, document, token_offset, text, *unpacked)
    return contexts


def _shown_order(band: ExampleBand) -> list[int]:
    """`top` is stored split by split, each by strength; people see one list."""
    n = len(band.context_index)
    if band.band != Band.TOP:
        return list(range(n))
    n_events = np.diff(band.indptr.astype(np.int64))
    is_peak = band.position == np.repeat(band.peak_position, n_events)
    size = np.zeros(n)
    size[np.repeat(np.arange(n), n_events)[is_peak]] = np.abs(band.value[is_peak])
    return np.argsort(-size, kind="stable").tolist()


def _marked(band: ExampleBand, place: int, at: int, contexts: Mapping[int, StoredContext]) -> MarkedContext:
    events = slice(int(band.indptr[at]), int(band.indptr[at + 1]))
    return MarkedContext(
        context=contexts[int(band.context_index[at])],
        band=band.band,
        place=place,
        split=Split(int(band.split[at])),
        n_similar=int(band.n_similar[at]),
        peak=int(band.peak_position[at]),
        positions=band.position[events],
        values=band.value[events],
    )
