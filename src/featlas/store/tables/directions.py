"""What an SAE's weights say by themselves, of one model: computed whole, and replaced whole."""

from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from featlas.domain import DirectionKind, MapMethod
from featlas.store.tables.types import (
    NEVER_REUSED,
    BigKey,
    Blob,
    CreatedAt,
    Id,
    InstantOrNone,
    Json,
    Row,
    checked,
)


class SaeDirectionsRow(Row):
    """One computation of an SAE's directions with a model; in force once it is published, and then never changed.

    `options` are what was asked for. `reasons` says of what there is none (`logits`, `map`) why; `n_near_duplicates`
    counts, by kind, the features with a neighbour that points the same way.
    """

    __tablename__ = "sae_directions"
    __table_args__: Any = (Index(None, "sae_id", "model_id"), NEVER_REUSED)

    id: Mapped[Id]
    sae_id: Mapped[int] = mapped_column(BigKey, ForeignKey("saes.id", ondelete="CASCADE"))
    model_id: Mapped[int] = mapped_column(BigKey, ForeignKey("models.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    n_features: Mapped[int]
    options: Mapped[Json]
    reasons: Mapped[Json]
    n_near_duplicates: Mapped[Json]
    created_at: Mapped[CreatedAt]
    published_at: Mapped[InstantOrNone]


class FeatureLogitsRow(Row):
    """The tokens that a feature's decoder direction promotes and suppresses, packed; empty for a zero direction."""

    __tablename__ = "feature_logits"

    directions_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("sae_directions.id", ondelete="CASCADE"), primary_key=True
    )
    feature_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[Blob]


class FeatureNeighboursRow(Row):
    """The features whose directions are nearest to a feature's, packed; empty for a zero direction."""

    __tablename__ = "feature_neighbours"

    directions_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("sae_directions.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[DirectionKind] = mapped_column(checked(DirectionKind, "kind"), primary_key=True)
    feature_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[Blob]


class SaeMapRow(Row):
    """A place in the plane for every feature, as two arrays, and how much of the variance each axis shows."""

    __tablename__ = "sae_maps"

    directions_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("sae_directions.id", ondelete="CASCADE"), primary_key=True
    )
    method: Mapped[MapMethod] = mapped_column(checked(MapMethod, "method"), primary_key=True)
    x: Mapped[Blob]
    y: Mapped[Blob]
    explained_x: Mapped[float | None]
    explained_y: Mapped[float | None]
