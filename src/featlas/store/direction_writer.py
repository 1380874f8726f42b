"""Publishing what was computed of an SAE's directions: written unseen, bit by bit, in force by one statement."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from featlas.domain import DirectionKind, JobState, MapMethod
from featlas.errors import ConflictError, ExternalError
from featlas.store.blobs import pack_array
from featlas.store.bulk import Guard, Pace, delete_rows, insert_rows, no_guard, write_paced
from featlas.store.direction_blobs import pack_rated
from featlas.store.directions import LOGITS, MAP
from featlas.store.plain import plain_json
from featlas.store.session import Store
from featlas.store.tables import (
    FeatureLogitsRow,
    FeatureNeighboursRow,
    JobRow,
    SaeDirectionsRow,
    SaeMapRow,
    utc_now,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DirectionsFacts:
    """What is computed: of which SAE with which model, by which job (None without one), as asked for in `options`."""

    sae_id: int
    model_id: int
    job_id: int | None
    n_features: int
    options: Mapping[str, Any]


class DirectionsWriter:
    """Writes one computation of an SAE's directions; nothing of it is seen until `publish`.

    `guard` is called in every transaction and raises when the work was given to somebody else. After an exception what
    was in force stays in force, and what was written is removed by the next writer of the same SAE and model.
    """

    def __init__(self, store: Store, facts: DirectionsFacts, guard: Guard = no_guard) -> None:
        self._store = store
        self._facts = facts
        self._guard = guard
        self._logits_pace, self._neighbours_pace = Pace(), Pace()
        for leftover in self._find(_is_leftover(facts.job_id)):
            self._drop(leftover)
        self.directions_id = self._begin()

    def add_logits(self, first: int, token_ids: NDArray[np.int64], effects: NDArray[np.float32], has: NDArray) -> None:
        """The tokens of the features from `first` on, promoted then suppressed: [n, 2k] each; `has` [n] a direction."""
        self._add_rated(FeatureLogitsRow, (), self._logits_pace, first, (token_ids, effects, has))

    def add_neighbours(
        self, kind: DirectionKind, first: int, indices: NDArray[np.int64], cosines: NDArray[np.float32], has: NDArray
    ) -> None:
        """The neighbours of the features from `first` on, nearest first: [n, k] each; `has` [n] a direction."""
        self._add_rated(FeatureNeighboursRow, (str(kind),), self._neighbours_pace, first, (indices, cosines, has))

    def add_map(
        self, method: MapMethod, places: NDArray[np.float32], explained_variance: tuple[float, float] | None
    ) -> None:
        """A place for every feature, shape [n_features, 2], NaN for those without a direction."""
        shares = explained_variance or (None, None)
        row = (self.directions_id, str(method), pack_array(places[:, 0], "<f4"), pack_array(places[:, 1], "<f4"))
        columns = ("directions_id", "method", "x", "y", "explained_x", "explained_y")
        self._write(Pace(), 1, lambda session: insert_rows(session, SaeMapRow, columns, [(*row, *shares)]))

    def publish(self, reasons: Mapping[str, str], n_near_duplicates: Mapping[str, int]) -> None:
        """Put this in force, and drop what was in force before.

        Raises ConflictError where something is missing that `reasons` does not explain; nothing is changed then.
        """
        with self._store.write() as session:
            self._guard(session)
            self._require_complete(session, reasons)
            found = {"reasons": plain_json(reasons), "n_near_duplicates": plain_json(n_near_duplicates)}
            of_this = update(SaeDirectionsRow).where(SaeDirectionsRow.id == self.directions_id)
            session.execute(of_this.values(published_at=utc_now(), **found))
        try:
            is_older = (SaeDirectionsRow.published_at.is_not(None), SaeDirectionsRow.id != self.directions_id)
            for older in self._find(*is_older):
                self._drop(older)
        except (ConflictError, ExternalError) as error:
            # The newest is in force; what could not be removed now is not looked at, and removed the next time.
            _log.warning("older directions of SAE %d were not removed yet: %s", self._facts.sae_id, error)

    def _begin(self) -> int:
        with self._store.write() as session:
            self._guard(session)
            facts = self._facts
            row = SaeDirectionsRow(
                sae_id=facts.sae_id,
                model_id=facts.model_id,
                job_id=facts.job_id,
                n_features=facts.n_features,
                options=plain_json(facts.options),
                reasons={},
                n_near_duplicates={},
            )
            session.add(row)
            session.flush()
            return row.id

    def _add_rated(
        self, table: type, keys: tuple[str, ...], pace: Pace, first: int, columns: tuple[NDArray, NDArray, NDArray]
    ) -> None:
        ids, values, has = columns
        names = ("directions_id", *(("kind",) if keys else ()), "feature_index", "data")
        for chunk in pace.chunks(len(ids)):
            packed = [pack_rated(ids[at], values[at]) if has[at] else b"" for at in chunk]
            rows = [(self.directions_id, *keys, first + at, blob) for at, blob in zip(chunk, packed, strict=True)]
            self._write(pace, len(chunk), _inserting(table, names, rows))

    def _write(self, pace: Pace, n: int, write: Callable[[Session], None]) -> None:
        write_paced(self._store, self._guard, pace, n, write)

    def _require_complete(self, session: Session, reasons: Mapping[str, str]) -> None:
        expected = {kind: self._facts.n_features for kind in map(str, DirectionKind)}
        of_this = FeatureNeighboursRow.directions_id == self.directions_id
        kinds = select(FeatureNeighboursRow.kind, func.count()).where(of_this).group_by(FeatureNeighboursRow.kind)
        found = {str(kind): n for kind, n in session.execute(kinds)}
        if LOGITS not in reasons:
            expected[LOGITS] = self._facts.n_features
            of_logits = FeatureLogitsRow.directions_id == self.directions_id
            found[LOGITS] = session.scalars(select(func.count()).select_from(FeatureLogitsRow).where(of_logits)).one()
        if MAP not in reasons:
            expected[MAP] = 1
            of_map = (SaeMapRow.directions_id == self.directions_id, SaeMapRow.method == MapMethod.PCA)
            found[MAP] = session.scalars(select(func.count()).select_from(SaeMapRow).where(*of_map)).one()
        missing = [name for name, n in expected.items() if found.get(name, 0) != n]
        if missing:
            raise ConflictError(f"the directions lack {', '.join(missing)}; nothing was published")

    def _find(self, *conditions: Any) -> list[tuple[int, int]]:
        """(id, n_features) of what was written of this SAE and model and meets the conditions."""
        row = SaeDirectionsRow
        is_same = (row.sae_id == self._facts.sae_id, row.model_id == self._facts.model_id)
        found = select(row.id, row.n_features).outerjoin(JobRow, JobRow.id == row.job_id).where(*is_same, *conditions)
        with self._store.read() as session:
            return [(of.id, of.n_features) for of in session.execute(found)]

    def _drop(self, leftover: tuple[int, int]) -> None:
        directions_id, n_features = leftover
        logits, near = FeatureLogitsRow, FeatureNeighboursRow
        delete_rows(self._store, self._guard, logits, logits.directions_id == directions_id, n_features)
        for kind in DirectionKind:
            of_kind = (near.directions_id == directions_id) & (near.kind == kind)
            delete_rows(self._store, self._guard, near, of_kind, n_features)
        with self._store.write() as session:
            self._guard(session)
            session.execute(delete(SaeDirectionsRow).where(SaeDirectionsRow.id == directions_id))


def _is_leftover(job_id: int | None) -> Any:
    """Unpublished, and written by nobody else who may still be at it."""
    is_idle = or_(JobRow.id.is_(None), JobRow.state != JobState.RUNNING, JobRow.id == job_id)
    return SaeDirectionsRow.published_at.is_(None) & is_idle


def _inserting(table: type, names: Iterable[str], rows: list[tuple[Any, ...]]) -> Callable[[Session], None]:
    return lambda session: insert_rows(session, table, tuple(names), rows)
