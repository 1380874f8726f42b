"""Columns as they are read from the database, kept in memory for as long as they hold."""

import dataclasses
import functools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, String, cast, func, select, type_coerce
from sqlalchemy.orm import Session

from featlas.errors import NotFoundError
from featlas.store.blobs import unpack_array
from featlas.store.columns import REVIEWS, SOURCES, Columns, Kept, StateColumns
from featlas.store.tables import FeatureColumnRow, FeatureStateRow, RunRow, SnapshotRow

FLAGS = "flags"
"""The column that holds `domain.FeatureFlag`s; all others are numeric fields of the query language."""

_SOURCE_CODES: dict[str | None, int] = {None: -1, **{str(source): code for code, source in enumerate(SOURCES)}}
_REVIEW_CODES = {str(review): code for code, review in enumerate(REVIEWS)}


class ColumnCache:
    """The columns of the last few snapshots asked for; may be shared between threads."""

    def __init__(self, n_snapshots: int = 4) -> None:
        self._n_snapshots = n_snapshots
        self._lock = threading.Lock()
        self._first_load = threading.Lock()
        # SQLite gives the id of a deleted snapshot to the next one, so the key has its birthday too.
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def load(self, session: Session, snapshot_id: int) -> Columns:
        """The columns of a snapshot with the feature state of this moment.

        Facts are read once; of the state only rows whose `rev` is beyond the last one seen are read, so writers of
        `feature_state` draw `rev` from one ascending count per SAE. Raises NotFoundError for an unknown snapshot.
        """
        found = session.execute(_snapshots().where(SnapshotRow.id == snapshot_id)).one_or_none()
        if found is None:
            raise NotFoundError(f"there is no snapshot {snapshot_id}; `featlas runs` lists what there is")
        key = (snapshot_id, found.created_at.isoformat())
        kept = self._find(key)
        if kept is None:
            # One at a time: of many who ask at once the others wait for the first, or each would read everything.
            with self._first_load:
                kept = self._find(key)
                if kept is None:
                    facts = load_facts(session, snapshot_id)
                    flags = facts.pop(FLAGS).astype(np.uint32, copy=False)
                    columns = Columns(found.sae_id, facts, flags, StateColumns.empty(len(flags)))
                    kept = self._keep(key, _refreshed(session, _Kept(columns, rev=-1), found.rev))
        return self._keep(key, _refreshed(session, kept, found.rev)).columns

    def _find(self, key: "_Key") -> "_Kept | None":
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: "_Key", kept: "_Kept") -> "_Kept":
        """Remember it, unless another thread has seen more since."""
        with self._lock:
            before = self._kept.get(key)
            if before is None or before.rev < kept.rev:
                self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > self._n_snapshots:
                self._kept.popitem(last=False)
        return kept


_Key = tuple[int, str]


@dataclasses.dataclass(frozen=True)
class _Kept:
    columns: Columns
    rev: int


def load_column(session: Session, snapshot_id: int, name: str) -> NDArray:
    """One stored column of a snapshot. Shape [n_features]. Raises NotFoundError where there is none of this name."""
    one = (FeatureColumnRow.snapshot_id == snapshot_id, FeatureColumnRow.name == name)
    found = session.execute(select(FeatureColumnRow.dtype, FeatureColumnRow.data).where(*one)).one_or_none()
    if found is None:
        raise NotFoundError(f"snapshot {snapshot_id} has no column {name!r}; extract the run again")
    return unpack_array(found.data, found.dtype)


def load_facts(session: Session, snapshot_id: int) -> dict[str, NDArray]:
    """All stored columns of a snapshot by name, each of shape [n_features]; raises NotFoundError without any."""
    rows = session.execute(
        select(FeatureColumnRow.name, FeatureColumnRow.dtype, FeatureColumnRow.data)
        .where(FeatureColumnRow.snapshot_id == snapshot_id)
        .order_by(FeatureColumnRow.name)
    )
    facts: dict[str, NDArray] = {name: unpack_array(content, dtype) for name, dtype, content in rows}
    if FLAGS not in facts:
        raise NotFoundError(f"snapshot {snapshot_id} has no columns; extract the run again")
    return facts


@functools.cache  # each answer asks this
def _snapshots() -> Select[*tuple[Any, ...]]:
    """Of each snapshot the SAE, its birthday, and the newest `rev` of the SAE's feature state."""
    newest = select(func.max(FeatureStateRow.rev)).where(FeatureStateRow.sae_id == RunRow.sae_id)
    columns = (RunRow.sae_id, SnapshotRow.created_at, newest.correlate(RunRow).scalar_subquery().label("rev"))
    return select(*columns).join(RunRow, RunRow.id == SnapshotRow.run_id)


def _refreshed(session: Session, kept: _Kept, rev: int | None) -> _Kept:
    of_sae = FeatureStateRow.sae_id == kept.columns.sae_id
    seen = -1 if rev is None else rev
    if seen == kept.rev:
        return kept
    if seen < kept.rev:
        # This session reads the store as it was before: what it finds in texts must not be kept for others.
        state = dataclasses.replace(kept.columns.state, found=Kept())
        return _Kept(dataclasses.replace(kept.columns, state=state), kept.rev)
    # The first time these are all labels of the SAE: past the ORM and the enumerations' types, which cost a third more.
    rows = (
        session.connection()
        .execute(
            select(
                FeatureStateRow.feature_index,
                func.coalesce(FeatureStateRow.semantic_label, "") != "",
                FeatureStateRow.category_label,
                type_coerce(FeatureStateRow.label_source, String),
                type_coerce(FeatureStateRow.review_state, String),
                cast(FeatureStateRow.lint_flags, String) != "[]",
                FeatureStateRow.score,
                FeatureStateRow.is_favorite,
            ).where(of_sae, FeatureStateRow.rev > kept.rev, FeatureStateRow.feature_index < kept.columns.n_features)
        )
        .all()
    )
    state = _with_rows(kept.columns.state, rows) if rows else kept.columns.state
    return _Kept(dataclasses.replace(kept.columns, state=state), seen)


def _with_rows(state: StateColumns, rows: Sequence[Any]) -> StateColumns:
    """A copy of the state with these rows in it; the old one may still be in use by another thread."""
    indices, has_label, category, source, review, is_linted, score, is_favorite = zip(*rows, strict=True)
    codes = {label: code for code, label in enumerate(state.categories)}
    for label in dict.fromkeys(category):
        if label:
            codes.setdefault(label, len(codes))
    at = np.array(indices, dtype=np.int64)
    return StateColumns(
        has_label=_replaced(state.has_label, at, has_label),
        category=_replaced(state.category, at, [codes[label] if label else -1 for label in category]),
        categories=tuple(codes),
        source=_replaced(state.source, at, [_SOURCE_CODES[value] for value in source]),
        review=_replaced(state.review, at, [_REVIEW_CODES[value] for value in review]),
        is_linted=_replaced(state.is_linted, at, is_linted),
        is_favorite=_replaced(state.is_favorite, at, is_favorite),
        score=_replaced(state.score, at, [np.nan if value is None else value for value in score]),
    )


def _replaced(values: NDArray, at: NDArray[np.int64], by: Sequence[Any]) -> NDArray:
    copy = values.copy()
    copy[at] = by
    return copy
