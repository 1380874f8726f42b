"""Reading what a run says of its features: one with its examples, or many in bounded memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from featlas.domain import (
    Band,
    Example,
    ExampleBand,
    FeatureFlag,
    FeatureStats,
    Histogram,
    Interval,
    SnapshotHeader,
    Split,
    TokenStat,
)
from featlas.errors import ConflictError, NotFoundError
from featlas.store.blobs import unpack_array, unpack_examples, unpack_sparse
from featlas.store.index_ranges import are_neighbours, bind_among, is_among
from featlas.store.runs import Run
from featlas.store.spans import decode_spans
from featlas.store.tables import ContextRow, FeatureActivationsRow, FeatureColumnRow, FeatureRow

DERIVED = ("activation_frequency", "context_frequency", "mean_activation", "std_activation")
"""Numbers that are read from the columns, where the extraction wrote them, so that each has one definition."""

_CHUNK = 500
_LAST_BANDS = {str(Band.TOP): -1, str(Band.UNIFORM): 1, str(Band.NEAR_MISS): 2, str(Band.NON_FIRING): 3}


def fetch_feature(session: Session, run: Run, feature_index: int) -> FeatureStats:
    """Everything of one feature, with its examples, strongest band first.

    Raises NotFoundError for an index outside the SAE (null features are not shown), ConflictError where the run has no
    published snapshot yet.
    """
    stats = fetch_stats(session, run, feature_index)
    snapshot_id, _ = published_snapshot(run)
    bands = read_example_bands(session, snapshot_id, feature_index)
    return replace(stats, examples=tuple(_read_examples(session, run.id, bands)))


def fetch_stats(
    session: Session, run: Run, feature_index: int, *, facts: Mapping[str, NDArray] | None = None
) -> FeatureStats:
    """One feature without its examples; raises as `fetch_feature` does. `facts` as in `read_features`."""
    published_snapshot(run)
    if not 0 <= feature_index < run.n_features:
        raise NotFoundError(
            f"run {run.name!r} has no feature {feature_index}; its features are 0 … {run.n_features - 1}"
        )
    found = list(read_features(session, run, [feature_index], facts=facts))
    if not found:
        raise NotFoundError(f"feature {feature_index} is missing in run {run.name!r}")
    return found[0]


def read_features(
    session: Session,
    run: Run,
    indices: Iterable[int],
    *,
    facts: Mapping[str, NDArray] | None = None,
    n_top_tokens: int | None = None,
) -> Iterator[FeatureStats]:
    """The features at these indices in this order, without examples; memory does not grow with their number.

    Who holds the snapshot's columns gives them as `facts`: to cut numbers out of a stored column it is read as a whole.
    `n_top_tokens` leaves out all but the first top tokens.
    Indices beyond the snapshot's features are left out; null features may be asked for (they follow the SAE's own).
    Raises ConflictError where the run has no published snapshot yet.
    """
    snapshot_id, header = published_snapshot(run)
    remaining = iter(indices)
    derived = None if facts is None else _Derived({name: facts[name] for name in DERIVED}, None)
    while chunk := [int(index) for index in islice(remaining, _CHUNK)]:
        if derived is None:
            derived = _load_derived(session, snapshot_id, chunk if len(chunk) == 1 else None)
        rows = {row.feature_index: row for row in _read_rows(session, snapshot_id, chunk)}
        for index in chunk:
            if index in rows:
                yield _stats_of(rows[index], header, derived.numbers(index), n_top_tokens)


def read_example_bands(session: Session, snapshot_id: int, feature_index: int) -> list[ExampleBand]:
    """The published examples of one feature as arrays: top, octaves from the strongest, uniform, then contrasts."""
    rows = session.execute(_bands(), {"snapshot": snapshot_id, "index": feature_index})
    bands = [unpack_examples(content, feature_index, band, n_in_band) for band, n_in_band, content in rows]
    return sorted(bands, key=_band_order)


@cache
def _bands() -> Select[str, int, bytes]:
    row = FeatureActivationsRow
    of_feature = (row.snapshot_id == bindparam("snapshot"), row.feature_index == bindparam("index"))
    return select(row.band, row.n_in_band, row.data).where(*of_feature)


class _Derived:
    """The derived numbers of some features: of all by index, or of a few."""

    def __init__(self, columns: dict[str, NDArray], few: list[int] | None) -> None:
        self._columns = columns
        self._place = None if few is None else {index: at for at, index in enumerate(few)}

    def numbers(self, index: int) -> dict[str, float | None]:
        """Each derived number of a feature by name, None for NaN."""
        at = index if self._place is None else self._place[index]
        return {name: _or_none(values[at]) for name, values in self._columns.items()}


def published_snapshot(run: Run) -> tuple[int, SnapshotHeader]:
    """The id and header of the snapshot in force; raises ConflictError where nothing is published yet."""
    if run.snapshot_id is None or run.header is None:
        raise ConflictError(f"run {run.name!r} has published nothing yet; `featlas jobs ls` shows how far it is")
    return run.snapshot_id, run.header


def _read_rows(session: Session, snapshot_id: int, indices: Sequence[int]) -> Iterable[Any]:
    asked = _rows(are_neighbours=are_neighbours(indices))
    return session.execute(asked, {"snapshot": snapshot_id, **bind_among(indices)})


@cache
def _rows(*, are_neighbours: bool) -> Select[*tuple[Any, ...]]:
    columns = (
        FeatureRow.feature_index,
        FeatureRow.n_fires,
        FeatureRow.n_contexts_fired,
        FeatureRow.max,
        FeatureRow.n_fires_excluded,
        FeatureRow.flags,
        FeatureRow.duplicate_of,
        FeatureRow.histogram,
        FeatureRow.intervals,
        FeatureRow.top_tokens,
    )
    among = is_among(FeatureRow.feature_index, are_neighbours=are_neighbours)
    return select(*columns).where(FeatureRow.snapshot_id == bindparam("snapshot"), among)


def _load_derived(session: Session, snapshot_id: int, few: list[int] | None) -> _Derived:
    of_derived = (FeatureColumnRow.snapshot_id == snapshot_id, FeatureColumnRow.name.in_(DERIVED))
    if few is None:
        rows = session.execute(
            select(FeatureColumnRow.name, FeatureColumnRow.dtype, FeatureColumnRow.data).where(*of_derived)
        )
        return _Derived({name: unpack_array(content, dtype) for name, dtype, content in rows}, None)
    columns = {}
    for name, dtype in session.execute(select(FeatureColumnRow.name, FeatureColumnRow.dtype).where(*of_derived)).all():
        size = np.dtype(dtype).itemsize
        # Of one feature only: each cut reads the column up to there again.
        cuts = [func.substr(FeatureColumnRow.data, 1 + max(index, 0) * size, size) for index in few]
        found = session.execute(
            select(*cuts).where(FeatureColumnRow.snapshot_id == snapshot_id, FeatureColumnRow.name == name)
        ).one()
        columns[name] = np.array([unpack_array(cut, dtype)[0] if len(cut) == size else np.nan for cut in found])
    return _Derived(columns, few)


def _stats_of(
    row: Any, header: SnapshotHeader, derived: dict[str, float | None], n_top_tokens: int | None
) -> FeatureStats:
    return FeatureStats(
        feature_index=row.feature_index,
        n_fires=row.n_fires,
        n_tokens=header.n_tokens,
        n_contexts_fired=row.n_contexts_fired,
        max_activation=row.max,
        histogram=_trim(unpack_sparse(row.histogram), header.histogram_edges),
        top_tokens=_token_stats(row.top_tokens, row.n_fires, n_top_tokens),
        flags=FeatureFlag(row.flags),
        duplicate_of=row.duplicate_of,
        n_fires_excluded=row.n_fires_excluded,
        intervals={name: ends and Interval(*ends) for name, ends in row.intervals.items()},
        activation_frequency=derived["activation_frequency"],
        context_frequency=derived["context_frequency"],
        mean_activation=derived["mean_activation"],
        std_activation=derived["std_activation"],
    )


def _trim(counts: NDArray[np.int64], edges: NDArray[np.float64]) -> Histogram:
    """The histogram without the empty bins at both ends."""
    filled = np.flatnonzero(counts)
    if len(filled) == 0:
        return Histogram((), ())
    first, last = int(filled[0]), int(filled[-1])
    return Histogram(tuple(edges[first : last + 2].tolist()), tuple(counts[first : last + 1].tolist()))


def _token_stats(columns: dict[str, list[Any]], n_fires_of_feature: int, most: int | None) -> tuple[TokenStat, ...]:
    names = ("token_id", "token", "n_fires", "n_occurrences", "mean_activation", "max_activation")
    return tuple(
        TokenStat(
            token_id=token_id,
            token=token,
            n_fires=n_fires,
            n_occurrences=n_occurrences,
            mean_activation=mean,
            max_activation=largest,
            p_fire_given_token=n_fires / n_occurrences if n_occurrences else None,
            p_token_given_fire=n_fires / n_fires_of_feature,
        )
        for token_id, token, n_fires, n_occurrences, mean, largest in zip(
            *(columns[name][:most] for name in names), strict=True
        )
    )


def _read_examples(session: Session, run_id: int, bands: list[ExampleBand]) -> Iterator[Example]:
    yield from read_examples_at(
        session, run_id, [(band, at) for band in bands for at in range(len(band.context_index))]
    )


def read_examples_at(session: Session, run_id: int, places: Sequence[tuple[ExampleBand, int]]) -> Iterator[Example]:
    """The examples at these places of their bands, in order, with their contexts' text."""
    wanted = sorted({int(band.context_index[at]) for band, at in places})
    contexts: dict[int, Any] = {}
    for first in range(0, len(wanted), _CHUNK):
        of_run = (ContextRow.run_id == run_id, ContextRow.context_index.in_(wanted[first : first + _CHUNK]))
        columns = (ContextRow.document_index, ContextRow.token_offset, ContextRow.text, ContextRow.ends)
        for row in session.execute(select(ContextRow.context_index, *columns).where(*of_run)):
            contexts[row.context_index] = row, decode_spans(row.text, unpack_array(row.ends, "<u4"))
    for band, at in places:
        yield _example_of(band, at, *contexts[int(band.context_index[at])])


def _example_of(band: ExampleBand, at: int, context: Any, decoded: tuple[str, tuple[tuple[int, int], ...]]) -> Example:
    events = slice(int(band.indptr[at]), int(band.indptr[at + 1]))
    positions, values = band.position[events].tolist(), band.value[events].tolist()
    peak = int(band.peak_position[at])
    return Example(
        band=band.band,
        document=context.document_index,
        context=context.context_index,
        token_offset=context.token_offset,
        text=decoded[0],
        token_spans=decoded[1],
        peak=peak,
        positions=tuple(positions),
        values=tuple(values),
        max_activation=dict(zip(positions, values, strict=True)).get(peak),
        n_similar=int(band.n_similar[at]),
        split=Split(int(band.split[at])),
    )


def _band_order(band: ExampleBand) -> tuple[int, int]:
    if band.band in _LAST_BANDS:
        return _LAST_BANDS[band.band], 0
    octave = band.band.rpartition(":")[2]
    return 0, -int(octave)


def _or_none(value: Any) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number
