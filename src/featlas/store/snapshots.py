"""Publishing: a snapshot is written in short transactions, unseen, and comes into force by one statement."""

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from featlas.domain import ContextBatch, FeatureBatch, JobState, RunState, SnapshotHeader
from featlas.errors import ConflictError, ExternalError, InputError
from featlas.store.blobs import pack_array
from featlas.store.bulk import Guard, Pace, delete_rows, insert_rows, no_guard, write_paced
from featlas.store.feature_rows import ACTIVATION_COLUMNS, FEATURE_COLUMNS, TOKEN_COLUMNS, FeaturePacker
from featlas.store.plain import plain_json
from featlas.store.session import Store
from featlas.store.tables import (
    ContextRow,
    FeatureActivationsRow,
    FeatureColumnRow,
    FeatureRow,
    FeatureTokenRow,
    JobRow,
    RunRow,
    SnapshotRow,
    utc_now,
)
from featlas.store.vocabulary import Vocabulary

REQUIRED_COLUMNS = frozenset(
    {"activation_frequency", "context_frequency", "mean_activation", "std_activation", "max_activation", "flags"}
)
"""Columns without which a snapshot cannot be published, because reading a feature needs them."""

_CONTEXT_COLUMNS = (
    "run_id",
    "context_index",
    "document_index",
    "token_offset",
    "n_tokens",
    "token_ids",
    "text",
    "ends",
)
_COLUMN_DTYPES = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4")

_log = logging.getLogger(__name__)


class SnapshotWriter:
    """Writes one snapshot of a run; nothing of it is seen until `publish`.

    `token_occurrences` [n_vocab] counts each token at counted positions. `guard` is called in every transaction and
    raises when the work was given to somebody else. Every add is made of transactions of well under a second; after an
    exception the snapshot in force stays in force, and what was written is removed by the next writer of the run or by
    `remove_orphans`.
    """

    def __init__(
        self,
        store: Store,
        run_id: int,
        header: SnapshotHeader,
        token_occurrences: NDArray[np.int64],
        guard: Guard = no_guard,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._header = header
        self._n_occurrences = np.asarray(token_occurrences, dtype=np.int64)
        self._guard = guard
        self._feature_pace = Pace()
        self._context_pace = Pace()
        with store.read() as session:
            self._vocabulary = Vocabulary.load_of_run(session, run_id)
            leftovers = _find_leftovers(session, run_id)
        if len(self._n_occurrences) < len(self._vocabulary):
            raise InputError(
                f"counts of {len(self._n_occurrences)} tokens for a vocabulary of {len(self._vocabulary)};"
                " expected one count per token"
            )
        for leftover in leftovers:
            _drop_snapshot(store, guard, leftover)
        self.snapshot_id = self._begin()

    def add_contexts(self, batch: ContextBatch) -> None:
        """Add the contexts that examples point to, with their text; those already there are left as they are."""
        self._vocabulary.require(batch.token_ids)
        for chunk in self._context_pace.chunks(len(batch)):
            rows = {int(batch.context_index[at]): self._context(batch, at) for at in chunk}

            def write(session: Session, rows: dict[int, tuple[object, ...]] = rows) -> None:
                of_run = (ContextRow.run_id == self._run_id, ContextRow.context_index.in_(rows))
                for known in session.scalars(select(ContextRow.context_index).where(*of_run)):
                    del rows[known]
                insert_rows(session, ContextRow, _CONTEXT_COLUMNS, list(rows.values()))

            self._write(self._context_pace, len(chunk), write)

    def add_features(self, batch: FeatureBatch) -> None:
        """Add everything that the batch says of its features; their contexts may be added before or after."""
        self._vocabulary.require(batch.top_tokens.token_id)
        packer = FeaturePacker(self.snapshot_id, batch, self._vocabulary.readable, self._n_occurrences)
        for chunk in self._feature_pace.chunks(len(batch)):
            packed = packer.pack(chunk)

            def write(session: Session, packed=packed) -> None:
                insert_rows(session, FeatureRow, FEATURE_COLUMNS, packed.features)
                insert_rows(session, FeatureActivationsRow, ACTIVATION_COLUMNS, packed.activations)
                insert_rows(session, FeatureTokenRow, TOKEN_COLUMNS, packed.tokens)

            self._write(self._feature_pace, len(chunk), write)

    def add_columns(self, columns: Mapping[str, NDArray]) -> None:
        """Add numbers of all features by name, each of shape [n_features], null features last; NaN means none."""
        for name, values in columns.items():
            packed, dtype = _packed_column(name, values, self._header.n_features)
            row = (self.snapshot_id, name, dtype, packed)

            def write(session: Session, row: tuple[object, ...] = row) -> None:
                insert_rows(session, FeatureColumnRow, ("snapshot_id", "name", "dtype", "data"), [row])

            self._write(Pace(), 1, write)

    def publish(self) -> None:
        """Put this snapshot in force, finish the run unless partial, and drop the run's other snapshots.

        Raises ConflictError where features or columns are missing; the snapshot in force stays so then.
        """
        with self._store.write() as session:
            self._guard(session)
            self._require_complete(session)
            now = utc_now()
            session.execute(update(SnapshotRow).where(SnapshotRow.id == self.snapshot_id).values(published_at=now))
            finished = {} if self._header.is_partial else {"state": RunState.FINISHED, "finished_at": now}
            of_run = update(RunRow).where(RunRow.id == self._run_id)
            session.execute(of_run.values(current_snapshot_id=self.snapshot_id, **finished))
        self._drop_older()

    def _begin(self) -> int:
        with self._store.write() as session:
            self._guard(session)
            of_run = SnapshotRow.run_id == self._run_id
            last = session.scalar(select(func.max(SnapshotRow.seq)).where(of_run)) or 0
            header = self._header
            row = SnapshotRow(
                run_id=self._run_id,
                seq=last + 1,
                is_partial=header.is_partial,
                n_features=header.n_features,
                n_documents=header.n_documents,
                n_contexts=header.n_contexts,
                n_positions=header.n_positions,
                n_tokens=header.n_tokens,
                n_excluded=plain_json(header.n_excluded),
                quality=plain_json(header.quality),
                position_n_tokens=plain_json(header.position_n_tokens),
                histogram_edges=pack_array(header.histogram_edges, "<f8"),
            )
            session.add(row)
            session.flush()
            return row.id

    def _write(self, pace: Pace, n: int, write) -> None:
        write_paced(self._store, self._guard, pace, n, write)

    def _context(self, batch: ContextBatch, at: int) -> tuple[object, ...]:
        token_ids = batch.token_ids[batch.indptr[at] : batch.indptr[at + 1]]
        text, ends = self._vocabulary.concatenate(token_ids)
        return (
            self._run_id,
            int(batch.context_index[at]),
            int(batch.document_index[at]),
            int(batch.token_offset[at]),
            len(token_ids),
            pack_array(token_ids, "<u4"),
            text,
            pack_array(ends, "<u4"),
        )

    def _require_complete(self, session: Session) -> None:
        of_snapshot = FeatureRow.snapshot_id == self.snapshot_id
        n = session.scalars(select(func.count()).select_from(FeatureRow).where(of_snapshot)).one()
        if n != self._header.n_features:
            raise ConflictError(f"the snapshot has {n} of {self._header.n_features} features; nothing was published")
        names = select(FeatureColumnRow.name).where(FeatureColumnRow.snapshot_id == self.snapshot_id)
        missing = REQUIRED_COLUMNS - set(session.scalars(names))
        if missing:
            raise ConflictError(f"the snapshot lacks the columns {', '.join(sorted(missing))}; nothing was published")

    def _drop_older(self) -> None:
        try:
            with self._store.read() as session:
                leftovers = _find_leftovers(session, self._run_id)
            for leftover in leftovers:
                _drop_snapshot(self._store, self._guard, leftover)
        except (ConflictError, ExternalError) as error:
            # The new snapshot is in force; what could not be removed now is removed at the next start.
            _log.warning("older snapshots of run %d were not removed yet: %s", self._run_id, error)


def discard_run(store: Store, run_id: int, guard: Guard = no_guard) -> None:
    """Delete a run that was never finished, with all that it published; raises ConflictError for a finished one."""
    with store.write() as session:
        guard(session)
        is_pending = (RunRow.id == run_id, RunRow.state == RunState.PENDING)
        hidden = update(RunRow).where(*is_pending).values(current_snapshot_id=None).returning(RunRow.id)
        if not session.execute(hidden).all():
            raise ConflictError(f"run {run_id} is finished or not there; only an unfinished run can be discarded")
    with store.read() as session:
        leftovers = _find_leftovers(session, run_id)
    for leftover in leftovers:
        _drop_snapshot(store, guard, leftover)
    with store.write() as session:
        guard(session)
        session.execute(delete(RunRow).where(RunRow.id == run_id))


def remove_orphans(store: Store) -> int:
    """Delete snapshots that are not in force and that nobody is writing; returns how many.

    A snapshot may be written on while its run's job is running; `jobs.reconcile` frees those of dead workers before.
    """
    with store.read() as session:
        # Whatever its lease says: as long as nobody took the job back, its worker may wake up and publish.
        is_live = JobRow.state == JobState.RUNNING
        live_runs = select(RunRow.id).join(JobRow, JobRow.id == RunRow.extraction_job_id).where(is_live)
        orphans = _find_leftovers(session, SnapshotRow.run_id.not_in(live_runs))
    for orphan in orphans:
        _drop_snapshot(store, no_guard, orphan)
    return len(orphans)


def _find_leftovers(session: Session, of) -> list[tuple[int, int]]:
    """(id, n_features) of snapshots that are not in force."""
    condition = SnapshotRow.run_id == of if isinstance(of, int) else of
    in_force = func.coalesce(RunRow.current_snapshot_id, -1)
    statement = select(SnapshotRow.id, SnapshotRow.n_features).join(RunRow, RunRow.id == SnapshotRow.run_id)
    found = session.execute(statement.where(condition, SnapshotRow.id != in_force).order_by(SnapshotRow.id))
    return [(row.id, row.n_features) for row in found]


def _drop_snapshot(store: Store, guard: Guard, leftover: tuple[int, int]) -> None:
    snapshot_id, n_features = leftover
    for table in (FeatureTokenRow, FeatureActivationsRow, FeatureRow):
        delete_rows(store, guard, table, table.snapshot_id == snapshot_id, n_features)
    with store.write() as session:
        guard(session)
        session.execute(delete(SnapshotRow).where(SnapshotRow.id == snapshot_id))


def _packed_column(name: str, values: NDArray, n_features: int) -> tuple[bytes, str]:
    array = np.asarray(values)
    if array.shape != (n_features,):
        raise InputError(
            f"column {name!r} has shape {array.shape}; expected one number for each of {n_features} features"
        )
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    kind = array.dtype.newbyteorder("<")
    if kind.str[1:] not in _COLUMN_DTYPES:
        raise InputError(f"column {name!r} has the type {array.dtype}; expected one of {', '.join(_COLUMN_DTYPES)}")
    return pack_array(array, kind), kind.str
