"""The partners of a run's features: written unseen in short transactions, put in force by one statement."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from featlas.domain import JobState, Measure, NoMeasure, PartnerLists, Unit
from featlas.errors import ConflictError, ExternalError, NotFoundError
from featlas.specs import CorrelateSpec
from featlas.store import jobs
from featlas.store.blobs import pack_partners, unpack_partners
from featlas.store.bulk import Guard, Pace, insert_rows, no_guard, write_paced
from featlas.store.job_views import Job, find_unfinished
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store
from featlas.store.tables import CorrelationRow, FeaturePartnersRow, JobRow, utc_now

KIND = "correlation"

_COLUMNS = ("correlation_id", "measure", "feature_index", "reason", "near_duplicate_of", "data")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CorrelationFacts:
    """What partners rest on: units counted, and the blocks that were there of those that the run made."""

    run_id: int
    unit: Unit
    n_units: int
    n_blocks: int
    n_blocks_planned: int
    n_partners: int
    job_id: int | None


@dataclass(frozen=True)
class Correlation:
    """Partners in force; an estimate where blocks of the run were gone."""

    id: int
    facts: CorrelationFacts
    published_at: dt.datetime

    @property
    def share(self) -> float:
        """The share of the run's blocks that it rests on."""
        return self.facts.n_blocks / self.facts.n_blocks_planned

    @property
    def is_estimate(self) -> bool:
        """Whether blocks were gone."""
        return self.facts.n_blocks < self.facts.n_blocks_planned


@dataclass(frozen=True)
class FeaturePartners:
    """The partners of one feature by one measure, the surest first; those that avoid it (value < 0) at the end."""

    feature_index: int
    measure: Measure
    reason: NoMeasure | None
    near_duplicate_of: int | None
    partner: NDArray[np.uint32]
    value: NDArray[np.float32]
    low: NDArray[np.float32]
    n_both: NDArray[np.uint32]


class CorrelationWriter:
    """Writes the partners of all `n_features` features; nothing of it is seen until `publish`.

    `guard` is called in every transaction. What a writer left behind that was killed is removed by the next one of the
    run, unless its job still runs.
    """

    def __init__(self, store: Store, facts: CorrelationFacts, n_features: int, guard: Guard = no_guard) -> None:
        self._store, self._facts, self._guard = store, facts, guard
        self._n_features = n_features
        self._pace = Pace(first=256)
        for leftover in self._find_leftovers():
            self._drop(leftover)
        with store.write() as session:
            guard(session)
            row = CorrelationRow(**vars(facts))
            session.add(row)
            session.flush()
            self.id = row.id

    def add(self, first_feature: int, partners: Mapping[Measure, PartnerLists]) -> None:
        """Add the partners of consecutive features, by every measure."""
        for measure, lists in partners.items():
            for chunk in self._pace.chunks(len(lists.reasons)):
                rows = [self._row(measure, lists, first_feature, at) for at in chunk]

                def write(session: Session, rows: list[tuple[object, ...]] = rows) -> None:
                    insert_rows(session, FeaturePartnersRow, _COLUMNS, rows)

                write_paced(self._store, self._guard, self._pace, len(rows), write)

    def publish(self) -> None:
        """Put these partners in force, and drop the run's older ones of the same unit.

        Raises ConflictError where partners are missing; what is in force stays so then.
        """
        with self._store.write() as session:
            self._guard(session)
            of_this = FeaturePartnersRow.correlation_id == self.id
            n = session.scalars(select(func.count()).select_from(FeaturePartnersRow).where(of_this)).one()
            expected = self._n_features * len(Measure)
            if n != expected:
                raise ConflictError(f"there are {n} of {expected} lists of partners; nothing was published")
            published = update(CorrelationRow).where(CorrelationRow.id == self.id).values(published_at=utc_now())
            session.execute(published)
        try:
            for leftover in self._find_leftovers():
                self._drop(leftover)
        except (ConflictError, ExternalError) as error:
            # The new partners are in force; what could not be removed now is removed by the next writer.
            _log.warning("older partners of run %d were not removed yet: %s", self._facts.run_id, error)

    def _row(self, measure: Measure, lists: PartnerLists, first_feature: int, at: int) -> tuple[object, ...]:
        here, near, reason = lists.of(at), int(lists.near_duplicate_of[at]), lists.reasons[at]
        packed = pack_partners(lists.partner[here], lists.value[here], lists.low[here], lists.n_both[here])
        # Enumerations as the text that is stored: these rows go past SQLAlchemy.
        return (
            self.id,
            measure.value,
            first_feature + at,
            None if reason is None else reason.value,
            None if near < 0 else near,
            packed,
        )

    def _find_leftovers(self) -> list[int]:
        """Older ones of this run and unit that are in force no more, and unpublished ones that nobody writes."""
        row = CorrelationRow
        own = getattr(self, "id", None)
        with self._store.read() as session:
            running = select(JobRow.id).where(JobRow.state == JobState.RUNNING)
            is_left = row.published_at.is_(None) & or_(
                row.job_id.is_(None), row.job_id.not_in(running), row.job_id == self._facts.job_id
            )
            if own is not None:
                is_left = or_(is_left, row.published_at.is_not(None) & (row.id < own))
            of_run = (row.run_id == self._facts.run_id, row.unit == self._facts.unit, row.id != (own or 0))
            return list(session.scalars(select(row.id).where(*of_run, is_left).order_by(row.id)))

    def _drop(self, correlation_id: int) -> None:
        of_this, index = FeaturePartnersRow.correlation_id == correlation_id, FeaturePartnersRow.feature_index
        pace = Pace()
        for chunk in pace.chunks(self._n_features):
            statement = delete(FeaturePartnersRow).where(of_this, index >= chunk.start, index < chunk.stop)
            write_paced(
                self._store, self._guard, pace, len(chunk), lambda session, s=statement: session.execute(s) and None
            )
        with self._store.write() as session:
            self._guard(session)
            session.execute(delete(CorrelationRow).where(CorrelationRow.id == correlation_id))


def enqueue_correlation(store: Store, spec: CorrelateSpec) -> Job:
    """Queue a correlation of a finished run; raises ConflictError where a job does the same, or the run is not done."""
    pinned = _pin(store, spec)
    known = find_unfinished(store, KIND, pinned.content_hash())
    if known is not None and known.state in (JobState.QUEUED, JobState.RUNNING):
        raise ConflictError(f"job {known.id} does the same and is {known.state}; watch that one, or cancel it first")
    return jobs.enqueue(store, KIND, pinned)


def take_up_correlation(store: Store, spec: CorrelateSpec) -> tuple[Job, JobState | None]:
    """The unfinished job that does the same, ready to go on, and in which state it was; else a new one and None."""
    pinned = _pin(store, spec)
    known = find_unfinished(store, KIND, pinned.content_hash())
    if known is None:
        return jobs.enqueue(store, KIND, pinned), None
    return jobs.resume(store, known.id) if known.state in jobs.RESUMABLE else known, known.state


def _pin(store: Store, spec: CorrelateSpec) -> CorrelateSpec:
    """The spec with the run's uid, so that the same run by another name is the same work."""
    with store.read() as session:
        run = fetch_run(session, spec.run)
    if run.header is None or run.header.is_partial:
        raise ConflictError(f"run {run.name!r} is not finished; `featlas jobs ls` shows how far it is")
    return spec.model_copy(update={"run": run.uid})


def fetch_correlation(session: Session, run: Run, unit: Unit) -> Correlation:
    """The partners in force of a run; raises NotFoundError where none were computed."""
    row = CorrelationRow
    of_run = (row.run_id == run.id, row.unit == unit, row.published_at.is_not(None))
    found = session.scalars(select(row).where(*of_run).order_by(row.id.desc()).limit(1)).one_or_none()
    if found is None or found.published_at is None:
        raise NotFoundError(
            f"the partners of the features of run {run.name!r} were not computed by {unit}; "
            f"`featlas correlate {run.id} --unit {unit}` does"
        )
    facts = {name: getattr(found, name) for name in CorrelationFacts.__dataclass_fields__}
    return Correlation(found.id, CorrelationFacts(**facts), found.published_at)


def fetch_partners(session: Session, correlation: Correlation, feature_index: int, measure: Measure) -> FeaturePartners:
    """The partners of one feature; raises NotFoundError for an index outside the SAE."""
    row = FeaturePartnersRow
    key = (row.correlation_id == correlation.id, row.measure == measure, row.feature_index == feature_index)
    found = None
    if 0 <= feature_index < 2**31:
        found = session.scalars(select(row).where(*key)).one_or_none()
    if found is None:
        raise NotFoundError(f"the run has no feature {feature_index}")
    return FeaturePartners(feature_index, measure, found.reason, found.near_duplicate_of, *unpack_partners(found.data))
