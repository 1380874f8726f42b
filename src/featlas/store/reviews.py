"""The review journal: each step of a person through the queue, written with what it changes, so that it can be undone.

Steps are undone from the newest back, each reviewer's by themselves. A label that somebody else judged after the step
stays as they left it. A written label is taken back by rejecting it: what was said remains in the history.
"""

import datetime as dt
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from featlas.domain import FeatureState, ReviewAction, ReviewState
from featlas.errors import ConflictError, InputError
from featlas.store.label_changes import FeatureChange, HumanLabel, one_line
from featlas.store.label_state import TAKEN_BACK, begin_change, fetch_state
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, LabelRow, ReviewActionRow, utc_now
from featlas.store.uids import new_uid

SITTING = dt.timedelta(hours=12)
"""How long a skipped feature stays out of its reviewer's queue, and how far back progress is counted."""

BREAK = dt.timedelta(minutes=5)
"""A longer time between two features is a break, and does not count for the pace."""

MAX_REVIEWER = 200
"""Most characters of a reviewer's name."""

_DID = {ReviewAction.ACCEPT: "accepted", ReviewAction.REJECT: "rejected", ReviewAction.WRITE: "wrote"}


@dataclass(frozen=True)
class JournalEntry:
    """One step of a person through the queue; `label_id` is what was accepted, rejected or written, with its text."""

    id: int
    uid: str
    sae_id: int
    feature_index: int
    action: ReviewAction
    label_id: int | None
    semantic_label: str | None
    reviewer: str
    created_at: dt.datetime
    undone_at: dt.datetime | None


@dataclass(frozen=True)
class Reviewed:
    """A step that was taken or undone, and what is in force for its feature after that."""

    action: JournalEntry
    state: FeatureState


@dataclass(frozen=True)
class ReviewProgress:
    """What a person did in the last SITTING; what was undone does not count.

    `n_reviewed` features with a decision or a new label, `n_skipped` others that were only skipped; `since` the first
    step, None without any; `per_minute` features of both kinds, breaks left out, None before there are two.
    """

    n_reviewed: int
    n_skipped: int
    since: dt.datetime | None
    per_minute: float | None


def record_accept(store: Store, label_id: int, *, reviewer: str, expected_rev: int | None = None) -> Reviewed:
    """Accept a label, as `labels.accept_label` does, and write the step down; raises as that does."""
    by = checked_reviewer(reviewer)
    with store.write() as session:
        change, row = FeatureChange.begin_at(session, label_id, expected_rev)
        before = _before(change, row)
        change.accept(row, by)
        return _written_down(change, ReviewAction.ACCEPT, row, by, before)


def record_reject(
    store: Store, label_id: int, reason: str = "", *, reviewer: str, expected_rev: int | None = None
) -> Reviewed:
    """Reject a label, as `labels.reject_label` does, and write the step down; raises as that does."""
    by = checked_reviewer(reviewer)
    with store.write() as session:
        change, row = FeatureChange.begin_at(session, label_id, expected_rev)
        before = _before(change, row)
        change.reject(row, reason, by)
        return _written_down(change, ReviewAction.REJECT, row, by, before)


def record_label(
    store: Store,
    sae_id: int,
    feature_index: int,
    label: HumanLabel,
    *,
    reviewer: str,
    expected_rev: int | None = None,
) -> Reviewed:
    """Add a person's label, as `labels.add_human_label` does, and write the step down; raises as that does."""
    by, checked = checked_reviewer(reviewer), label.checked()
    with store.write() as session:
        change = FeatureChange.begin(session, sae_id, feature_index, expected_rev)
        before = _before(change, None)
        return _written_down(change, ReviewAction.WRITE, change.write(checked, by), by, before)


def record_skip(
    store: Store, sae_id: int, feature_index: int, *, reviewer: str, expected_rev: int | None = None
) -> Reviewed:
    """Leave a feature as it is and out of the reviewer's queue for a SITTING; its labels and its `rev` do not change.

    Raises NotFoundError for an unknown SAE or feature.
    """
    by = checked_reviewer(reviewer)
    with store.write() as session:
        FeatureChange.begin(session, sae_id, feature_index, expected_rev)
        step = _new_step(sae_id, feature_index, ReviewAction.SKIP, by)
        session.add(step)
        session.flush()
        return Reviewed(_entry_of(step, None), fetch_state(session, sae_id, feature_index))


def undo_last(store: Store, sae_id: int, reviewer: str, *, leave_overtaken: bool = False) -> Reviewed:
    """Take back the reviewer's newest step that stands; called again, the one before it.

    Raises ConflictError where none is left, and where somebody has judged the step's label since: that stays, and so
    does the step. With `leave_overtaken` such steps are left as they are and the newest other one is taken back.
    """
    by = checked_reviewer(reviewer)
    with store.write() as session:
        begin_change(session, sae_id)  # before looking for the step: two windows must not undo the same one
        step, row = _find_step(session, sae_id, by, leave_overtaken=leave_overtaken)
        step.undone_at = utc_now()
        entry = _entry_of(step, row and row.semantic_label)
        if row is None:
            session.flush()
            return Reviewed(entry, fetch_state(session, sae_id, step.feature_index))
        before = dict(step.before or {})
        change = FeatureChange.begin(session, sae_id, step.feature_index)
        if step.action is ReviewAction.WRITE:
            change.reject(row, TAKEN_BACK, by)
        else:
            _put_back(row, before["review"])
        return Reviewed(entry, _with_score(session, change.finish(), before))


def list_actions(
    session: Session, sae_id: int, reviewer: str | None = None, *, limit: int | None = 50, before_id: int | None = None
) -> list[JournalEntry]:
    """Steps, newest first, undone ones too: those before step `before_id`, of this reviewer where one is named."""
    steps = _steps(LabelRow.semantic_label, sae_id, None if reviewer is None else checked_reviewer(reviewer))
    if before_id is not None:
        steps = steps.where(ReviewActionRow.id < before_id)
    return [_entry_of(step, text) for step, text in session.execute(steps.limit(limit))]


def fetch_progress(session: Session, sae_id: int, reviewer: str) -> ReviewProgress:
    """What a reviewer did in the last SITTING."""
    columns = (ReviewActionRow.feature_index, ReviewActionRow.action, ReviewActionRow.created_at)
    steps = session.execute(select(*columns).where(*_recent(sae_id, reviewer)).order_by(ReviewActionRow.id)).all()
    newest = {feature: at for feature, _, at in steps}
    reviewed = {feature for feature, action, _ in steps if action is not ReviewAction.SKIP}
    return ReviewProgress(
        n_reviewed=len(reviewed),
        n_skipped=len(newest) - len(reviewed),
        since=min((at for *_, at in steps), default=None),
        per_minute=_pace(sorted(newest.values())),
    )


def find_skipped(session: Session, sae_id: int, reviewer: str) -> list[int]:
    """Features, ascending, that a reviewer skipped in the last SITTING."""
    skips = (*_recent(sae_id, reviewer), ReviewActionRow.action == ReviewAction.SKIP)
    feature = ReviewActionRow.feature_index
    return list(session.scalars(select(feature).where(*skips).distinct().order_by(feature)))


def checked_reviewer(name: str) -> str:
    """A reviewer's name as it is kept; raises InputError for an empty or an overlong one."""
    kept = one_line("the reviewer's name", name, MAX_REVIEWER)
    if not kept:
        raise InputError("a review without a name; expected who reviews, so that it can be undone")
    return kept


def _recent(sae_id: int, reviewer: str) -> tuple[Any, ...]:
    return (
        ReviewActionRow.sae_id == sae_id,
        ReviewActionRow.reviewer == checked_reviewer(reviewer),
        ReviewActionRow.undone_at.is_(None),
        ReviewActionRow.created_at >= utc_now() - SITTING,
    )


def _pace(times: list[dt.datetime]) -> float | None:
    gaps = [gap for earlier, later in pairwise(times) if (gap := later - earlier) <= BREAK]
    worked = sum(gaps, dt.timedelta())
    return len(gaps) / (worked / dt.timedelta(minutes=1)) if worked else None


def _before(change: FeatureChange, row: LabelRow | None) -> dict[str, Any]:
    """What undoing needs: the review of the label to be judged, and the score of the one in force."""
    state = fetch_state(change.session, change.sae_id, change.feature_index)
    review = row and {
        "review_state": str(row.review_state),
        "reject_reason": row.reject_reason,
        "reviewed_by": row.reviewed_by,
        "reviewed_at": row.reviewed_at and row.reviewed_at.isoformat(),
    }
    return {"review": review, "label_in_force": state.current_label_id, "score": state.score}


def _put_back(row: LabelRow, review: dict[str, Any]) -> None:
    at = review["reviewed_at"]
    row.review_state, row.reject_reason = ReviewState(review["review_state"]), review["reject_reason"]
    row.reviewed_by, row.reviewed_at = review["reviewed_by"], at and dt.datetime.fromisoformat(at)


def _with_score(session: Session, state: FeatureState, before: dict[str, Any]) -> FeatureState:
    """The state with the score that its label had, which went when another label came into force."""
    if state.score is not None or before["score"] is None or state.current_label_id != before["label_in_force"]:
        return state
    of_feature = (FeatureStateRow.sae_id == state.sae_id, FeatureStateRow.feature_index == state.feature_index)
    session.execute(update(FeatureStateRow).where(*of_feature).values(score=before["score"]))
    return replace(state, score=before["score"])


def _new_step(sae_id: int, feature_index: int, action: ReviewAction, by: str) -> ReviewActionRow:
    step = ReviewActionRow(uid=new_uid(), sae_id=sae_id, feature_index=feature_index, action=action, reviewer=by)
    step.created_at = utc_now()
    return step


def _written_down(
    change: FeatureChange, action: ReviewAction, row: LabelRow, by: str, before: dict[str, Any]
) -> Reviewed:
    step = _new_step(change.sae_id, change.feature_index, action, by)
    step.label_id, step.before = row.id, before
    step.created_at = row.reviewed_at or step.created_at  # the same instant, which tells whose review the label has
    change.session.add(step)
    change.session.flush()
    entry = _entry_of(step, row.semantic_label)
    return Reviewed(entry, change.finish())


def _steps(of_label: Any, sae_id: int, by: str | None) -> Select[ReviewActionRow, Any]:
    """Steps, newest first, each with its label or a column of it."""
    steps = select(ReviewActionRow, of_label).outerjoin(LabelRow, LabelRow.id == ReviewActionRow.label_id)
    steps = steps.where(ReviewActionRow.sae_id == sae_id).order_by(ReviewActionRow.id.desc())
    return steps if by is None else steps.where(ReviewActionRow.reviewer == by)


def _find_step(
    session: Session, sae_id: int, by: str, *, leave_overtaken: bool
) -> tuple[ReviewActionRow, LabelRow | None]:
    steps = _steps(LabelRow, sae_id, by).where(ReviewActionRow.undone_at.is_(None)).limit(1)
    found = session.execute(steps).one_or_none()
    while found is not None:
        step, row = found
        if row is None or not _is_overtaken(step, row):
            return step, row
        if not leave_overtaken:
            raise ConflictError(
                f"{by} {_DID[step.action]} label {row.id} of feature {step.feature_index}, but"
                f" {row.reviewed_by or 'somebody'} has {row.review_state} it since, and that stays; leave it as it is"
                " (leave_overtaken) to take back what was done before"
            )
        found = session.execute(steps.where(ReviewActionRow.id < step.id)).one_or_none()
    raise ConflictError(f"nothing is left to undo: no review by {by} stands that could be taken back")


def _is_overtaken(step: ReviewActionRow, row: LabelRow) -> bool:
    """Whether the label's review is another one than the step made it."""
    verdict = ReviewState.REJECTED if step.action is ReviewAction.REJECT else ReviewState.ACCEPTED
    return (row.review_state, row.reviewed_by, row.reviewed_at) != (verdict, step.reviewer, step.created_at)


def _entry_of(step: ReviewActionRow, semantic_label: str | None) -> JournalEntry:
    names = JournalEntry.__dataclass_fields__.keys() - {"semantic_label"}
    return JournalEntry(**{name: getattr(step, name) for name in names}, semantic_label=semantic_label)
