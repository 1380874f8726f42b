"""Which features go together: partners of every feature of a run, computed by a job and published in one step."""

from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from featlas.domain import Measure, NoMeasure, Unit
from featlas.store.tables.types import (
    NEVER_REUSED,
    BigKey,
    Blob,
    Count,
    CreatedAt,
    Id,
    InstantOrNone,
    Row,
    checked,
)


class CorrelationRow(Row):
    """Partners of all features of a run, of one unit; in force from `published_at` on, a leftover without it."""

    __tablename__ = "correlations"
    __table_args__: Any = (Index(None, "run_id", "unit", "published_at"), NEVER_REUSED)

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"))
    unit: Mapped[Unit] = mapped_column(checked(Unit, "unit"))
    n_units: Mapped[Count]
    n_blocks: Mapped[int]
    n_blocks_planned: Mapped[int]
    n_partners: Mapped[int]
    job_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[CreatedAt]
    published_at: Mapped[InstantOrNone]


class FeaturePartnersRow(Row):
    """The partners of one feature by one measure, packed; none, with the reason, where it has no such measure."""

    __tablename__ = "feature_partners"

    correlation_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("correlations.id", ondelete="CASCADE"), primary_key=True
    )
    measure: Mapped[Measure] = mapped_column(checked(Measure, "measure"), primary_key=True)
    feature_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[NoMeasure | None] = mapped_column(checked(NoMeasure, "reason"))
    near_duplicate_of: Mapped[int | None]
    data: Mapped[Blob]
