"""What runs found: published facts per (snapshot, feature_index), written once and never changed."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from featlas.domain import RunState
from featlas.store.tables.types import (
    NEVER_REUSED,
    BigKey,
    Blob,
    Count,
    CreatedAt,
    Id,
    InstantOrNone,
    Json,
    JsonOrNone,
    Row,
    Uid,
    checked,
)


class RunRow(Row):
    """An extraction: model × SAE × corpus × spec. What it found is in its current snapshot."""

    __tablename__ = "runs"
    __table_args__: Any = (Index(None, "sae_id", "state", "finished_at"), NEVER_REUSED)

    id: Mapped[Id]
    uid: Mapped[Uid]
    name: Mapped[str] = mapped_column(String(255), unique=True)
    model_id: Mapped[int] = mapped_column(BigKey, ForeignKey("models.id", ondelete="RESTRICT"), index=True)
    sae_id: Mapped[int] = mapped_column(BigKey, ForeignKey("saes.id", ondelete="RESTRICT"))
    corpus_id: Mapped[int] = mapped_column(BigKey, ForeignKey("corpora.id", ondelete="RESTRICT"), index=True)
    extraction_job_id: Mapped[int | None] = mapped_column(
        BigKey, ForeignKey("jobs.id", ondelete="SET NULL"), index=True
    )
    spec: Mapped[Json]
    spec_hash: Mapped[str] = mapped_column(String(64), index=True)
    recipe: Mapped[Json]
    self_check: Mapped[JsonOrNone]
    forced: Mapped[bool] = mapped_column(default=False, server_default=false())
    state: Mapped[RunState] = mapped_column(checked(RunState, "state"), default=RunState.PENDING)
    current_snapshot_id: Mapped[int | None] = mapped_column(
        BigKey, ForeignKey("snapshots.id", ondelete="SET NULL", use_alter=True), index=True
    )
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[InstantOrNone]


class SnapshotRow(Row):
    """A state of a run; published when its run points to it, an orphan otherwise."""

    __tablename__ = "snapshots"
    __table_args__: Any = (UniqueConstraint("run_id", "seq"), NEVER_REUSED)

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"))
    seq: Mapped[int]
    is_partial: Mapped[bool]
    n_features: Mapped[Count]
    n_documents: Mapped[Count]
    n_contexts: Mapped[Count]
    n_positions: Mapped[Count]
    n_tokens: Mapped[Count]
    n_excluded: Mapped[dict[str, int]] = mapped_column(JSON)
    quality: Mapped[JsonOrNone]
    # By split and position bucket; SQL NULL in snapshots that are older than this column.
    position_n_tokens: Mapped[list[list[int]] | None] = mapped_column(JSON(none_as_null=True))
    histogram_edges: Mapped[Blob]
    created_at: Mapped[CreatedAt]
    published_at: Mapped[InstantOrNone]


class ContextRow(Row):
    """A window of tokens that some example points to, with its text as bytes and each token's end in them."""

    __tablename__ = "contexts"

    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    context_index: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    document_index: Mapped[int]
    token_offset: Mapped[int]
    n_tokens: Mapped[int]
    token_ids: Mapped[Blob]
    text: Mapped[Blob]
    ends: Mapped[Blob]


class FeatureRow(Row):
    """The counts and small blobs of one feature; null features have indices from d_sae upwards."""

    __tablename__ = "features"

    snapshot_id: Mapped[int] = mapped_column(BigKey, ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True)
    feature_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n_fires: Mapped[Count]
    n_contexts_fired: Mapped[Count]
    n_documents_fired: Mapped[Count]
    sum: Mapped[float]
    sum_sq: Mapped[float]
    max: Mapped[float | None]
    n_fires_excluded: Mapped[Count]
    max_excluded: Mapped[float | None]
    flags: Mapped[int]
    duplicate_of: Mapped[int | None]
    groups: Mapped[Blob]
    histogram: Mapped[Blob]
    peak_histogram: Mapped[Blob]
    position_profile: Mapped[Blob]
    intervals: Mapped[Json]
    top_tokens: Mapped[Json]


class FeatureColumnRow(Row):
    """One number of every feature of a snapshot as one array: what queries filter and sort on."""

    __tablename__ = "feature_columns"

    snapshot_id: Mapped[int] = mapped_column(BigKey, ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    dtype: Mapped[str] = mapped_column(String(8))
    data: Mapped[Blob]


class FeatureActivationsRow(Row):
    """The published examples of one feature in one band, packed into one blob."""

    __tablename__ = "feature_activations"

    snapshot_id: Mapped[int] = mapped_column(BigKey, ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True)
    feature_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    band: Mapped[str] = mapped_column(String(16), primary_key=True)
    n_in_band: Mapped[Count]
    data: Mapped[Blob]


class FeatureTokenRow(Row):
    """How often a feature fires on a token, for the union of its top tokens; found by token through the index."""

    __tablename__ = "feature_tokens"
    # Clustered by its key on SQLite: the rows are small and read by feature.
    __table_args__: Any = (Index(None, "snapshot_id", "token_id"), {"sqlite_with_rowid": False})

    snapshot_id: Mapped[int] = mapped_column(BigKey, ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True)
    feature_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n_fires: Mapped[Count]
    n_fires_score_split: Mapped[Count]
    sum: Mapped[float]
    max: Mapped[float]
