"""Examples as the web draws them: a context's bytes and tokens, with one feature's events in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
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
    """Of each band the examples at these places, with their contexts; places beyond the end are left out."""
    chosen = [(band, range(places.start, min(places.stop, len(band.context_index)))) for band, places in bands]
    wanted = {int(band.context_index[at]) for band, places in chosen for at in places}
    contexts = load_contexts(session, run_id, wanted)
    return [[_marked(band, at, contexts) for at in places] for band, places in chosen]


def read_strongest(
    session: Session, run_id: int, snapshot_id: int, indices: Sequence[int]
) -> Iterator[tuple[int, MarkedContext]]:
    """The strongest example of each of these features that has one."""
    bands = []
    for at in range(0, len(indices), _CHUNK):
        rows = session.execute(
            select(
                FeatureActivationsRow.feature_index, FeatureActivationsRow.n_in_band, FeatureActivationsRow.data
            ).where(
                FeatureActivationsRow.snapshot_id == snapshot_id,
                FeatureActivationsRow.feature_index.in_(indices[at : at + _CHUNK]),
                FeatureActivationsRow.band == str(Band.TOP),
            )
        )
        bands += [unpack_examples(content, index, str(Band.TOP), n_in_band) for index, n_in_band, content in rows]
    strongest = [(band, _largest(band)) for band in bands if len(band.context_index)]
    marked = read_marked(session, run_id, [(band, range(at, at + 1)) for band, at in strongest])
    for (band, _), found in zip(strongest, marked, strict=True):
        yield band.feature_index, found[0]


def load_contexts(session: Session, run_id: int, wanted: Iterable[int]) -> dict[int, StoredContext]:
    """Stored contexts of a run by their index."""
    ordered = sorted(wanted)
    contexts = {}
    columns = (ContextRow.document_index, ContextRow.token_offset, ContextRow.text, ContextRow.ends)
    for at in range(0, len(ordered), _CHUNK):
        of_run = (ContextRow.run_id == run_id, ContextRow.context_index.in_(ordered[at : at + _CHUNK]))
        for row in session.execute(select(ContextRow.context_index, *columns, ContextRow.token_ids).where(*of_run)):
            contexts[row.context_index] = StoredContext(
                context=row.context_index,
                document=row.document_index,
                token_offset=row.token_offset,
                text=row.text,
                ends=unpack_array(row.ends, "<u4"),
                token_ids=unpack_array(row.token_ids, "<u4"),
            )
    return contexts


def _largest(band: ExampleBand) -> int:
    """The example of the largest peak: `top` lists each split's strongest, one split after the other."""
    is_peak = band.position == np.repeat(band.peak_position, np.diff(band.indptr.astype(np.int64)))
    example = np.repeat(np.arange(len(band.context_index)), np.diff(band.indptr.astype(np.int64)))[is_peak]
    return int(example[np.argmax(np.abs(band.value[is_peak]))])


def _marked(band: ExampleBand, at: int, contexts: Mapping[int, StoredContext]) -> MarkedContext:
    events = slice(int(band.indptr[at]), int(band.indptr[at + 1]))
    return MarkedContext(
        context=contexts[int(band.context_index[at])],
        band=band.band,
        place=at,
        split=Split(int(band.split[at])),
        n_similar=int(band.n_similar[at]),
        peak=int(band.peak_position[at]),
        positions=band.position[events],
        values=band.value[events],
    )
