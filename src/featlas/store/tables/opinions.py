"""What people and machines say of an SAE's features: labels with their history, scores, and the state in force."""

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column, validates

from featlas.domain import FailureCause, LabelSource, LabelStatus, ReviewAction, ReviewState
from featlas.store.tables.types import (
    NEVER_REUSED,
    BigKey,
    Count,
    CreatedAt,
    Id,
    InstantOrNone,
    Json,
    JsonList,
    JsonOrNone,
    Row,
    Uid,
    checked,
)


def fold(text: str) -> str:
    """Text as it is compared in searches: case-folded, without the two characters that databases or we reserve."""
    return text.casefold().replace("\0", " ").replace("\x1f", " ")


def label_search_text(semantic_label: str | None, category_label: str | None) -> str:
    """The text in which a feature's label is searched: both labels folded, kept apart by U+001F."""
    return "\x1f".join(fold(label) for label in (semantic_label, category_label) if label)


class LabelRow(Row):
    """One label that was given to a feature, by whom and from what evidence; relabelling adds a row."""

    __tablename__ = "labels"
    __table_args__: Any = (
        Index(None, "sae_id", "feature_index"),
        Index(None, "labeling_job_id", "feature_index"),
        CheckConstraint("confidence >= 0 AND confidence <= 1", name="confidence"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    uid: Mapped[Uid]
    sae_id: Mapped[int] = mapped_column(BigKey, ForeignKey("saes.id", ondelete="CASCADE"))
    feature_index: Mapped[int]
    evidence_run_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    labeling_job_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("jobs.id", ondelete="SET NULL"))
    semantic_label: Mapped[str | None] = mapped_column(Text)
    category_label: Mapped[str | None] = mapped_column(Text)
    explanation: Mapped[str | None] = mapped_column(Text)
    confidence: Mapped[float | None]
    status: Mapped[LabelStatus] = mapped_column(checked(LabelStatus, "status"))
    failure_cause: Mapped[FailureCause | None] = mapped_column(checked(FailureCause, "failure_cause"))
    source: Mapped[LabelSource] = mapped_column(checked(LabelSource, "source"))
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(Text)
    template_version_id: Mapped[int | None] = mapped_column(
        BigKey, ForeignKey("prompt_template_versions.id", ondelete="SET NULL"), index=True
    )
    evidence_hash: Mapped[str | None] = mapped_column(String(64))
    evidence: Mapped[JsonOrNone]
    # The answer in llm_responses that it was read from; no foreign key, because answers may be cleared.
    response_key: Mapped[str | None] = mapped_column(String(64))
    n_tokens_in: Mapped[Count | None]
    n_tokens_out: Mapped[Count | None]
    cost_micro_usd: Mapped[Count | None]
    wall_s: Mapped[float | None]
    review_state: Mapped[ReviewState] = mapped_column(
        checked(ReviewState, "review_state"), default=ReviewState.UNREVIEWED
    )
    reject_reason: Mapped[str | None] = mapped_column(Text)
    reviewed_by: Mapped[str | None] = mapped_column(Text)
    reviewed_at: Mapped[InstantOrNone]
    lint: Mapped[JsonList] = mapped_column(default=list)
    created_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
    superseded_by: Mapped[int | None] = mapped_column(BigKey, ForeignKey("labels.id", ondelete="SET NULL"), index=True)
    restored_from: Mapped[int | None] = mapped_column(BigKey, ForeignKey("labels.id", ondelete="SET NULL"), index=True)


class FeatureStateRow(Row):
    """What is in force for a feature of an SAE, denormalised for lists and searches; `rev` grows with every change."""

    __tablename__ = "feature_state"
    __table_args__ = (Index(None, "sae_id", "rev"),)

    sae_id: Mapped[int] = mapped_column(BigKey, ForeignKey("saes.id", ondelete="CASCADE"), primary_key=True)
    feature_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    semantic_label: Mapped[str | None] = mapped_column(Text)
    category_label: Mapped[str | None] = mapped_column(Text)
    # Written with the labels (see label_search_text); attribute assignment does it by itself, bulk writers must.
    search_text: Mapped[str] = mapped_column(Text, default="", server_default="")
    label_source: Mapped[LabelSource | None] = mapped_column(checked(LabelSource, "label_source"))
    current_label_id: Mapped[int | None] = mapped_column(
        BigKey, ForeignKey("labels.id", ondelete="SET NULL"), index=True
    )
    labeling_job_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    review_state: Mapped[ReviewState] = mapped_column(
        checked(ReviewState, "review_state"), default=ReviewState.UNREVIEWED
    )
    lint_flags: Mapped[list[Any]] = mapped_column(JSON, default=list)
    score: Mapped[float | None]
    is_favorite: Mapped[bool] = mapped_column(default=False, server_default=false())
    rev: Mapped[Count] = mapped_column(default=0, server_default="0")

    @validates("semantic_label", "category_label")
    def _refold(self, key: str, value: str | None) -> str | None:
        labels = {"semantic_label": self.semantic_label, "category_label": self.category_label, key: value}
        self.search_text = label_search_text(**labels)
        return value


class ReviewActionRow(Row):
    """One step of a person through the review queue, with what it changed, so that it can be taken back.

    `label_id` is the label that was accepted or rejected, or the one that was written; null for a skip. `created_at` is
    the label's `reviewed_at` as the step left it. `before` is what undoing needs: `label_in_force` and its `score`, and
    of an accepted or rejected label the `review` (review_state, reject_reason, reviewed_by, reviewed_at as ISO 8601).
    """

    __tablename__ = "review_actions"
    __table_args__: Any = (Index(None, "sae_id", "reviewer", "id"), NEVER_REUSED)

    id: Mapped[Id]
    uid: Mapped[Uid]
    sae_id: Mapped[int] = mapped_column(BigKey, ForeignKey("saes.id", ondelete="CASCADE"))
    feature_index: Mapped[int]
    action: Mapped[ReviewAction] = mapped_column(checked(ReviewAction, "action"))
    label_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("labels.id", ondelete="CASCADE"), index=True)
    before: Mapped[JsonOrNone]
    reviewer: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
    undone_at: Mapped[InstantOrNone]


class ScoreRow(Row):
    """One measurement of a label on one run, or of a control; a failed score has no value."""

    __tablename__ = "scores"

    id: Mapped[Id]
    label_id: Mapped[int] = mapped_column(BigKey, ForeignKey("labels.id", ondelete="CASCADE"), index=True)
    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    method: Mapped[str] = mapped_column(String(64))
    is_control: Mapped[bool] = mapped_column(default=False, server_default=false())
    n: Mapped[Count]
    n_failed: Mapped[Count]
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    seed: Mapped[Count]
    judge: Mapped[Json]
    questions: Mapped[JsonOrNone]
    job_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[CreatedAt]
