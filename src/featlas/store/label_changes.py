"""The steps by which people change a feature's labels within a transaction, for whoever opened it.

Each step leaves the rows as they shall be; `finish` says which label is in force after them.
"""

from dataclasses import dataclass
from typing import Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.domain import FeatureState, LabelSource, LabelStatus, ReviewState
from featlas.errors import InputError, NotFoundError
from featlas.store.label_state import begin_change, fetch_state, require_rev, settle
from featlas.store.plain import plain_text
from featlas.store.tables import LabelRow, SaeRow, utc_now
from featlas.store.uids import new_uid

MAX_SEMANTIC, MAX_CATEGORY, MAX_TEXT = 200, 200, 4000
"""Most characters of what people write: a label is read in a list."""

_COPIED = (
    "sae_id",
    "feature_index",
    "evidence_run_id",
    "semantic_label",
    "category_label",
    "explanation",
    "confidence",
    "status",
    "source",
    "provider",
    "model",
    "template_version_id",
    "evidence_hash",
    "evidence",
    "lint",
)


@dataclass(frozen=True)
class HumanLabel:
    """What a person says of a feature; `category_label` is a path, as in "Language > Syntax"."""

    semantic_label: str
    category_label: str = ""
    explanation: str = ""
    evidence_run_id: int | None = None

    def checked(self) -> "HumanLabel":
        """Trimmed and storable; raises InputError for an empty or an overlong text."""
        semantic = one_line("the label", self.semantic_label, MAX_SEMANTIC)
        if not semantic:
            raise InputError("an empty label; expected two to eight words that say what the feature stands for")
        category = " > ".join(step.strip() for step in self.category_label.split(">") if step.strip())
        explanation = plain_text(self.explanation.strip())
        if len(explanation) > MAX_TEXT:
            raise InputError(f"the explanation has {len(explanation)} characters; expected at most {MAX_TEXT}")
        category = one_line("the category", category, MAX_CATEGORY)
        return HumanLabel(semantic, category, explanation, self.evidence_run_id)


def one_line(what: str, text: str, most: int) -> str:
    """What a person wrote, storable and on one line; raises InputError where it has more than `most` characters."""
    line = plain_text(" ".join(text.split()))
    if len(line) > most:
        raise InputError(f"{what} has {len(line)} characters; expected at most {most}")
    return line


@dataclass(frozen=True)
class FeatureChange:
    """A change of one feature's labels, from the lock of the SAE on; what it changes gets the revision `rev`."""

    session: Session
    sae_id: int
    feature_index: int
    rev: int

    @classmethod
    def begin(cls, session: Session, sae_id: int, feature_index: int, expected_rev: int | None = None) -> Self:
        """Raises NotFoundError for an unknown SAE or feature, ConflictError where it is not at `expected_rev`."""
        rev = begin_change(session, sae_id)
        require_feature(session, sae_id, feature_index)
        require_rev(session, sae_id, feature_index, expected_rev)
        return cls(session, sae_id, feature_index, rev)

    @classmethod
    def begin_at(cls, session: Session, label_id: int, expected_rev: int | None = None) -> tuple[Self, LabelRow]:
        """A change of the feature that has this label, and the label; raises as `begin` does."""
        row = fetch_label_row(session, label_id)
        change = cls.begin(session, row.sae_id, row.feature_index, expected_rev)
        session.refresh(row)  # it was read before the lock
        return change, row

    def write(self, label: HumanLabel, by: str | None) -> LabelRow:
        """Add a person's label; `label` is one that was `checked`."""
        now = utc_now()
        return self._add(
            LabelRow(
                uid=new_uid(),
                sae_id=self.sae_id,
                feature_index=self.feature_index,
                evidence_run_id=label.evidence_run_id,
                semantic_label=label.semantic_label,
                category_label=label.category_label or None,
                explanation=label.explanation or None,
                status=LabelStatus.LABELED,
                source=LabelSource.HUMAN,
                review_state=ReviewState.ACCEPTED,
                reviewed_by=by,
                reviewed_at=now,
                created_by=by,
                created_at=now,
            )
        )

    def accept(self, row: LabelRow, by: str | None) -> None:
        """Say that a label is right; raises InputError for one without a text."""
        self._judge(row, ReviewState.ACCEPTED, None, by)

    def reject(self, row: LabelRow, reason: str, by: str | None) -> None:
        """Say that a label is wrong; raises InputError for one without a text, and for an overlong reason."""
        if len(reason) > MAX_TEXT:
            raise InputError(f"the reason has {len(reason)} characters; expected at most {MAX_TEXT}")
        self._judge(row, ReviewState.REJECTED, plain_text(reason.strip()) or None, by)

    def restore(self, row: LabelRow, by: str | None) -> None:
        """Bring a label back by a new row, unless it is in force; raises InputError for one without a text."""
        _require_text(row, "restored")
        if fetch_state(self.session, self.sae_id, self.feature_index).current_label_id == row.id:
            return
        copied = {name: getattr(row, name) for name in _COPIED}
        now = utc_now()
        self._add(
            LabelRow(
                uid=new_uid(),
                review_state=ReviewState.ACCEPTED,
                reviewed_by=by,
                reviewed_at=now,
                created_by=by,
                created_at=now,
                restored_from=row.id,
                **copied,
            )
        )

    def finish(self) -> FeatureState:
        """Put the best label in force; the new state. Nothing is changed after this."""
        self.session.flush()
        settle(self.session, self.sae_id, [self.feature_index], self.rev)
        return fetch_state(self.session, self.sae_id, self.feature_index)

    def _add(self, row: LabelRow) -> LabelRow:
        self.session.add(row)
        self.session.flush()
        return row

    def _judge(self, row: LabelRow, verdict: ReviewState, reason: str | None, by: str | None) -> None:
        _require_text(row, str(verdict))
        row.review_state, row.reject_reason = verdict, reason
        row.reviewed_by, row.reviewed_at = by, utc_now()


def fetch_label_row(session: Session, label_id: int) -> LabelRow:
    """One label's row; raises NotFoundError."""
    row = session.get(LabelRow, label_id) if abs(label_id) < 2**63 else None
    if row is None:
        raise NotFoundError(f"there is no label {label_id}; `featlas labels ls RUN INDEX` lists those of a feature")
    return row


def require_feature(session: Session, sae_id: int, feature_index: int) -> None:
    """Raise NotFoundError unless the SAE has this feature."""
    d_sae = session.scalars(select(SaeRow.d_sae).where(SaeRow.id == sae_id)).one()
    if not 0 <= feature_index < d_sae:
        raise NotFoundError(f"the SAE has no feature {feature_index}; its features are 0 … {d_sae - 1}")


def _require_text(row: LabelRow, what: str) -> None:
    if row.status is not LabelStatus.LABELED:
        raise InputError(f"label {row.id} has no text ({row.status}); it cannot be {what}")
