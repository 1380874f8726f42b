"""Labels as people give and judge them, one at a time: add, accept, reject, restore, and the history of it all.

Every change is one transaction with the feature's state and its search text. `expected_rev` is the `rev` of the state
that the caller saw: where the feature has changed since, nothing is written and ConflictError says so.
"""

from collections.abc import Collection

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from featlas.domain import FeatureState, Label
from featlas.store.label_changes import FeatureChange, HumanLabel, fetch_label_row, require_feature
from featlas.store.label_state import begin_change, fetch_state, read_states, require_rev, settle
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, LabelRow
from featlas.store.template_versions import stale_versions

__all__ = [
    "HumanLabel",
    "accept_label",
    "add_human_label",
    "fetch_label",
    "fetch_state",
    "label_of",
    "list_labels",
    "read_states",
    "reject_label",
    "require_feature",
    "restore_label",
    "set_favorite",
]


def list_labels(session: Session, state: FeatureState) -> list[Label]:
    """Every label that the feature of this state was ever given, newest first."""
    of_feature = (LabelRow.sae_id == state.sae_id, LabelRow.feature_index == state.feature_index)
    rows = session.scalars(select(LabelRow).where(*of_feature).order_by(LabelRow.id.desc())).all()
    has_template = any(row.template_version_id is not None for row in rows)
    stale = stale_versions(session) if has_template else set()
    return [label_of(row, state.current_label_id, stale) for row in rows]


def fetch_label(session: Session, label_id: int) -> Label:
    """One label; raises NotFoundError."""
    row = fetch_label_row(session, label_id)
    current = fetch_state(session, row.sae_id, row.feature_index).current_label_id
    return label_of(row, current, stale_versions(session))


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
        change = FeatureChange.begin(session, sae_id, feature_index, expected_rev)
        change.write(checked, created_by)
        return change.finish()


def accept_label(
    store: Store, label_id: int, *, by: str | None = None, expected_rev: int | None = None
) -> FeatureState:
    """Say that a label is right; it comes before all that nobody accepted, whatever lint says. The new state.

    A label in force that a person wrote or brought back stays; `restore_label` is for that. Raises InputError for a
    label without a text, NotFoundError for an unknown one.
    """
    with store.write() as session:
        change, row = FeatureChange.begin_at(session, label_id, expected_rev)
        change.accept(row, by)
        return change.finish()


def reject_label(
    store: Store, label_id: int, reason: str = "", *, by: str | None = None, expected_rev: int | None = None
) -> FeatureState:
    """Say that a label is wrong; if it was in force, the best of the others takes its place. The new state."""
    with store.write() as session:
        change, row = FeatureChange.begin_at(session, label_id, expected_rev)
        change.reject(row, reason, by)
        return change.finish()


def restore_label(
    store: Store, label_id: int, *, by: str | None = None, expected_rev: int | None = None
) -> FeatureState:
    """Bring an older label back into force, by a new row that says which one it repeats; the new state.

    The label in force stays as it is. Raises InputError for a label without a text, NotFoundError for an unknown one.
    """
    with store.write() as session:
        change, row = FeatureChange.begin_at(session, label_id, expected_rev)
        change.restore(row, by)
        return change.finish()


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


def label_of(row: LabelRow, current_label_id: int | None, stale: Collection[int]) -> Label:
    """A stored row as a Label; `stale` are the template versions that are not in force any more."""
    derived = ("is_current", "is_stale")
    fields = {name: getattr(row, name) for name in Label.__dataclass_fields__ if name not in derived}
    is_stale = row.template_version_id in stale
    return Label(**{**fields, "lint": tuple(row.lint)}, is_current=row.id == current_label_id, is_stale=is_stale)
