"""Labels as people give and judge them, one at a time: add, accept, reject, restore, and the history of it all.

Every change is one transaction with the feature's state and its search text. `expected_rev` is the `rev` of the state
that the caller saw: where the feature has changed since, nothing is written and ConflictError says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from featlas.domain import FeatureState, Label, LabelSource, LabelStatus, ReviewState
from featlas.errors import InputError, NotFoundError
from featlas.store.label_state import begin_change, fetch_state, read_states, require_rev, settle
from featlas.store.plain import plain_text
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, LabelRow, SaeRow, utc_now
from featlas.store.uids import new_uid

__all__ = [
    "HumanLabel",
    "accept_label",
    "add_human_label",
    "fetch_label",
    "fetch_state",
    "list_labels",
    "read_states",
    "reject_label",
    "require_feature",
    "restore_label",
    "set_favorite",
]

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
        semantic = _one_line("the label", self.semantic_label, MAX_SEMANTIC)
        if not semantic:
            raise InputError("an empty label; expected two to eight words that say what the feature stands for")
        category = " > ".join(step.strip() for step in self.category_label.split(">") if step.strip())
        explanation = plain_text(self.explanation.strip())
        if len(explanation) > MAX_TEXT:
            raise InputError(f"the explanation has {len(explanation)} characters; expected at most {MAX_TEXT}")
        category = _one_line("the category", category, MAX_CATEGORY)
        return HumanLabel(semantic, category, explanation, self.evidence_run_id)


def _one_line(what: str, text: str, most: int) -> str:
    line = plain_text(" ".join(text.split()))
    if len(line) > most:
        raise InputError(f"{what} has {len(line)} characters; expected at most {most}")
    return line


def list_labels(session: Session, sae_id: int, feature_index: int) -> list[Label]:
    """Every label that a feature was ever given, newest first."""
    of_feature = (LabelRow.sae_id == sae_id, LabelRow.feature_index == feature_index)
    current = fetch_state(session, sae_id, feature_index).current_label_id
    rows = session.scalars(select(LabelRow).where(*of_feature).order_by(LabelRow.id.desc()))
    return [_label_of(row, current) for row in rows]


def fetch_label(session: Session, label_id: int) -> Label:
    """One label; raises NotFoundError."""
    row = _fetch_row(session, label_id)
    return _label_of(row, fetch_state(session, row.sae_id, row.feature_index).current_label_id)


def add_human_label(
    store: Store,
    sae_id: int,
    feature_index: int,
    label: HumanLabel,
    *,
    created_by: str | None = None,
    expected_rev: int | None = None,
) -> FeatureState:
    """Give a feature a label in a person's words, which is in force from now on; returns the new state.

    Raises InputError for a text that cannot be a label, NotFoundError for an unknown SAE or feature.
    """
    checked = label.checked()
    with store.write() as session:
        rev = begin_change(session, sae_id)
        require_feature(session, sae_id, feature_index)
        require_rev(session, sae_id, feature_index, expected_rev)
        now = utc_now()
        session.add(
            LabelRow(
                uid=new_uid(),
                sae_id=sae_id,
                feature_index=feature_index,
                evidence_run_id=checked.evidence_run_id,
                semantic_label=checked.semantic_label,
                category_label=checked.category_label or None,
                explanation=checked.explanation or None,
                status=LabelStatus.LABELED,
                source=LabelSource.HUMAN,
                review_state=ReviewState.ACCEPTED,
                reviewed_by=created_by,
                reviewed_at=now,
                created_by=created_by,
                created_at=now,
            )
        )
        session.flush()
        settle(session, sae_id, [feature_index], rev)
        return fetch_state(session, sae_id, feature_index)


def accept_label(
    store: Store, label_id: int, *, by: str | None = None, expected_rev: int | None = None
) -> FeatureState:
    """Say that a label is right; it comes before all that nobody accepted, whatever lint says. The new state.

    A label in force that a person wrote or brought back stays; `restore_label` is for that. Raises InputError for a
    label without a text, NotFoundError for an unknown one.
    """

    def accept(session: Session, row: LabelRow) -> None:
        _require_text(row, "accepted")
        row.review_state, row.reject_reason = ReviewState.ACCEPTED, None
        row.reviewed_by, row.reviewed_at = by, utc_now()

    return _review(store, label_id, accept, expected_rev)


def reject_label(
    store: Store, label_id: int, reason: str = "", *, by: str | None = None, expected_rev: int | None = None
) -> FeatureState:
    """Say that a label is wrong; if it was in force, the best of the others takes its place. The new state."""
    if len(reason) > MAX_TEXT:
        raise InputError(f"the reason has {len(reason)} characters; expected at most {MAX_TEXT}")

    def reject(session: Session, row: LabelRow) -> None:
        _require_text(row, "rejected")
        row.review_state, row.reject_reason = ReviewState.REJECTED, plain_text(reason.strip()) or None
        row.reviewed_by, row.reviewed_at = by, utc_now()

    return _review(store, label_id, reject, expected_rev)


def restore_label(
    store: Store, label_id: int, *, by: str | None = None, expected_rev: int | None = None
) -> FeatureState:
    """Bring an older label back into force, by a new row that says which one it repeats; the new state.

    The label in force stays as it is. Raises InputError for a label without a text, NotFoundError for an unknown one.
    """

    def restore(session: Session, row: LabelRow) -> None:
        _require_text(row, "restored")
        if fetch_state(session, row.sae_id, row.feature_index).current_label_id == row.id:
            return
        copied = {name: getattr(row, name) for name in _COPIED}
        now = utc_now()
        session.add(
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

    return _review(store, label_id, restore, expected_rev)


def set_favorite(
    store: Store, sae_id: int, feature_index: int, is_favorite: bool, *, expected_rev: int | None = None
) -> FeatureState:
    """Mark a feature as a favourite or not; the new state. Raises NotFoundError for an unknown SAE or feature."""
    with store.write() as session:
        rev = begin_change(session, sae_id)
        require_feature(session, sae_id, feature_index)
        require_rev(session, sae_id, feature_index, expected_rev)
        settle(session, sae_id, [feature_index], rev)
        of_feature = (FeatureStateRow.sae_id == sae_id, FeatureStateRow.feature_index == feature_index)
        session.execute(update(FeatureStateRow).where(*of_feature).values(is_favorite=is_favorite))
        return fetch_state(session, sae_id, feature_index)


def _review(
    store: Store, label_id: int, change: Callable[[Session, LabelRow], Any], expected_rev: int | None
) -> FeatureState:
    with store.read() as session:
        row = _fetch_row(session, label_id)
        sae_id, feature_index = row.sae_id, row.feature_index
    with store.write() as session:
        rev = begin_change(session, sae_id)
        require_rev(session, sae_id, feature_index, expected_rev)
        change(session, _fetch_row(session, label_id))
        session.flush()
        settle(session, sae_id, [feature_index], rev)
        return fetch_state(session, sae_id, feature_index)


def _fetch_row(session: Session, label_id: int) -> LabelRow:
    row = session.get(LabelRow, label_id) if abs(label_id) < 2**63 else None
    if row is None:
        raise NotFoundError(f"there is no label {label_id}; `featlas labels ls RUN INDEX` lists those of a feature")
    return row


def _require_text(row: LabelRow, what: str) -> None:
    if row.status is not LabelStatus.LABELED:
        raise InputError(f"label {row.id} has no text ({row.status}); it cannot be {what}")


def require_feature(session: Session, sae_id: int, feature_index: int) -> None:
    """Raise NotFoundError unless the SAE has this feature."""
    d_sae = session.scalars(select(SaeRow.d_sae).where(SaeRow.id == sae_id)).one()
    if not 0 <= feature_index < d_sae:
        raise NotFoundError(f"the SAE has no feature {feature_index}; its features are 0 … {d_sae - 1}")


def _label_of(row: LabelRow, current_label_id: int | None) -> Label:
    fields = {name: getattr(row, name) for name in Label.__dataclass_fields__ if name != "is_current"}
    return Label(**{**fields, "lint": tuple(row.lint)}, is_current=row.id == current_label_id)
