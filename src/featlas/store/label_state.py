"""Which of a feature's labels is in force: one rule, applied in the transaction of whatever changes a label.

A label can be in force if it has a text, was not rejected, and no lint speaks against it (a person's acceptance
overrules lint). Of those a person's own words, or an older label that a person brought back, come before labels that a
person accepted, and these before what nobody has looked at; within each kind the newest wins. A labeler that abstains
takes back what it said before, unless a person has accepted it.

Where no label is in force, the newest one with a text tells what people decided and what lint found; a label that its
writer took back tells nothing, as if it had not been written.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Select, bindparam, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from featlas.domain import FeatureState, LabelSource, LabelStatus, ReviewState
from featlas.errors import ConflictError, NotFoundError
from featlas.store.bulk import insert_rows
from featlas.store.index_ranges import are_neighbours, bind_among, is_among
from featlas.store.plain import to_json_text
from featlas.store.tables import FeatureStateRow, LabelRow, SaeRow, label_search_text

_CHUNK = 500
_FEW = 20
_STATE_FIELDS = tuple(FeatureState.__dataclass_fields__)
_FLAGS = _STATE_FIELDS.index("lint_flags")
_SETTLED = (
    "semantic_label",
    "category_label",
    "search_text",
    "label_source",
    "current_label_id",
    "labeling_job_id",
    "review_state",
    "lint_flags",
    "rev",
)


TAKEN_BACK = "taken back"
"""The reason with which a person's own label is rejected when its writer takes it back."""

OFFLINE = (LabelSource.RULE, LabelSource.LEXICAL)
"""Sources that are one labeler: what its rules do not settle goes to its lexical part."""


def sources_of_labeler(source: LabelSource) -> tuple[LabelSource, ...]:
    """The sources that speak for the same labeler as this one."""
    return OFFLINE if source in OFFLINE else (source,)


@dataclass(frozen=True)
class _Standing:
    """What decides whether a label is in force."""

    id: int
    feature_index: int
    semantic_label: str | None
    category_label: str | None
    status: LabelStatus
    source: LabelSource
    review_state: ReviewState
    reject_reason: str | None
    lint: list[str]
    labeling_job_id: int | None
    restored_from: int | None
    superseded_by: int | None

    @property
    def rank(self) -> tuple[int, int]:
        """Larger comes first."""
        if self.source is LabelSource.HUMAN or self.restored_from is not None:
            return 2, self.id
        return int(self.review_state is ReviewState.ACCEPTED), self.id

    @property
    def may_be_current(self) -> bool:
        """Whether it can be in force at all."""
        if self.status is not LabelStatus.LABELED or self.review_state is ReviewState.REJECTED:
            return False
        return not self.lint or self.source is LabelSource.HUMAN or self.review_state is ReviewState.ACCEPTED

    @property
    def tells(self) -> bool:
        """Whether it speaks for a feature without a label in force."""
        is_taken_back = self.source is LabelSource.HUMAN and self.reject_reason == TAKEN_BACK
        return self.status is LabelStatus.LABELED and not is_taken_back


def begin_change(session: Session, sae_id: int) -> int:
    """Lock the labels of an SAE until the transaction ends, and draw the `rev` of everything it changes.

    Readers of `feature_state` ask for what is beyond the last `rev` they saw, so revs must come into sight in order:
    writers of one SAE take turns. Raises NotFoundError for an unknown SAE.
    """
    # Not FOR UPDATE: that would also make rows wait that only refer to the SAE, a new run's for example.
    held = select(SaeRow.id).where(SaeRow.id == sae_id).with_for_update(key_share=True)
    if session.scalars(held).one_or_none() is None:
        raise NotFoundError(f"there is no SAE {sae_id}")
    last = session.scalar(select(func.max(FeatureStateRow.rev)).where(FeatureStateRow.sae_id == sae_id))
    return (last or 0) + 1


def require_rev(session: Session, sae_id: int, feature_index: int, expected_rev: int | None) -> None:
    """Raise ConflictError where the feature has changed since the caller looked at it."""
    if expected_rev is None:
        return
    found = fetch_state(session, sae_id, feature_index)
    if found.rev != expected_rev:
        raise ConflictError(
            f"the labels of feature {feature_index} have changed (revision {found.rev}, expected {expected_rev});"
            " look at them again"
        )


def settle(session: Session, sae_id: int, features: Iterable[int], rev: int) -> None:
    """Put the best label of each of these features in force and write their state, stars and all, at `rev`."""
    remaining = iter(sorted(set(features)))
    while chunk := list(islice(remaining, _CHUNK)):
        by_feature: dict[int, list[_Standing]] = {feature: [] for feature in chunk}
        for feature, group in groupby(_read_standings(session, sae_id, chunk), key=lambda row: row.feature_index):
            by_feature[feature] = list(group)
        before = _read_current(session, sae_id, chunk)
        states = []
        successors: list[dict[str, int | None]] = []
        for feature, standings in by_feature.items():
            current = max(_candidates(standings), key=lambda s: s.rank, default=None)
            states.append(_state_values(sae_id, feature, current, standings, rev))
            successors += _successions(standings, before.get(feature), current)
        _write_states(session, states, known=before)
        if successors:
            of_label = update(LabelRow).where(LabelRow.id == bindparam("label_id"))
            session.connection().execute(of_label.values(superseded_by=bindparam("successor")), successors)
    session.expire_all()


def _candidates(standings: list[_Standing]) -> Iterator[_Standing]:
    taken_back_by = {
        source: s.id for s in standings if s.status is LabelStatus.ABSTAINED for source in sources_of_labeler(s.source)
    }
    for standing in standings:
        is_taken_back = standing.rank[0] == 0 and standing.id < taken_back_by.get(standing.source, 0)
        if standing.may_be_current and not is_taken_back:
            yield standing


def _read_standings(session: Session, sae_id: int, features: Sequence[int]) -> list[_Standing]:
    """Ascending by feature, then from the oldest."""
    columns = [getattr(LabelRow, name) for name in _Standing.__dataclass_fields__]
    of_features = (LabelRow.sae_id == sae_id, LabelRow.feature_index.in_(features))
    rows = session.execute(select(*columns).where(*of_features).order_by(LabelRow.feature_index, LabelRow.id))
    return [_Standing(*row) for row in rows]


def _read_current(session: Session, sae_id: int, features: Sequence[int]) -> dict[int, int | None]:
    of_features = (FeatureStateRow.sae_id == sae_id, FeatureStateRow.feature_index.in_(features))
    rows = session.execute(select(FeatureStateRow.feature_index, FeatureStateRow.current_label_id).where(*of_features))
    return {row.feature_index: row.current_label_id for row in rows}


def _state_values(
    sae_id: int, feature: int, current: _Standing | None, standings: list[_Standing], rev: int
) -> dict[str, Any]:
    told = current or next((s for s in reversed(standings) if s.tells), None)
    semantic = current.semantic_label if current else None
    category = current.category_label if current else None
    return {
        "sae_id": sae_id,
        "feature_index": feature,
        "semantic_label": semantic,
        "category_label": category,
        "search_text": label_search_text(semantic, category),
        "label_source": current.source if current else None,
        "current_label_id": current.id if current else None,
        "labeling_job_id": current.labeling_job_id if current else None,
        "review_state": told.review_state if told else ReviewState.UNREVIEWED,
        "lint_flags": told.lint if told else [],
        "rev": rev,
    }


def _successions(
    standings: list[_Standing], before: int | None, current: _Standing | None
) -> list[dict[str, int | None]]:
    """Which labels have another successor now: the one that gave way, and the one that came (back) into force."""
    changed: list[dict[str, int | None]] = []
    for standing in standings:
        if current is not None and standing.id == current.id:
            wanted = None
        elif standing.id == before:
            wanted = current.id if current else None
        else:
            wanted = standing.superseded_by
        if wanted != standing.superseded_by:
            changed.append({"label_id": standing.id, "successor": wanted})
    return changed


def _write_states(session: Session, states: list[dict[str, Any]], *, known: Container[int]) -> None:
    """Write the states; of many, those of features without one go in as bulk rows (writers of an SAE take turns)."""
    new = [state for state in states if state["feature_index"] not in known]
    if len(new) < _FEW:
        _upsert(session, states)
        return
    rows = [{**state, **_as_text(state), "is_favorite": False} for state in new]
    insert_rows(session, FeatureStateRow, tuple(rows[0]), [tuple(row.values()) for row in rows])
    old = [state for state in states if state["feature_index"] in known]
    if old:
        _upsert(session, old)


def _as_text(state: dict[str, Any]) -> dict[str, str | None]:
    source = state["label_source"]
    return {
        "label_source": source and source.value,
        "review_state": state["review_state"].value,
        "lint_flags": to_json_text(state["lint_flags"]),
    }


def _upsert(session: Session, states: list[dict[str, Any]]) -> None:
    """Write the states; favourites stay, and a score stays only with the label that it was measured of."""
    connection = session.connection()
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(FeatureStateRow)
    new = statement.excluded
    is_same_label = FeatureStateRow.current_label_id.is_not_distinct_from(new.current_label_id)
    settled: dict[str, Any] = {name: new[name] for name in _SETTLED}
    settled["score"] = case((is_same_label, FeatureStateRow.score), else_=None)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["sae_id", "feature_index"], set_=settled),
        [{**state, "is_favorite": False} for state in states],
    )


def fetch_state(session: Session, sae_id: int, feature_index: int) -> FeatureState:
    """What is in force for one feature; an empty state with rev 0 where nobody has said anything."""
    return read_states(session, sae_id, [feature_index]).get(feature_index, FeatureState(sae_id, feature_index))


def read_states(session: Session, sae_id: int, features: Sequence[int]) -> dict[int, FeatureState]:
    """The states of these features by index; those of which nobody has said anything are left out."""
    found: dict[int, FeatureState] = {}
    for at in range(0, len(features), _CHUNK):
        chunk = features[at : at + _CHUNK]
        asked = _states(are_neighbours=are_neighbours(chunk))
        for row in session.execute(asked, {"sae": sae_id, **bind_among(chunk)}):
            values = list(row)  # by place: a page waits for this, and names cost as much as the query
            values[_FLAGS] = tuple(values[_FLAGS])
            state = FeatureState(*values)
            found[state.feature_index] = state
    return found


@cache
def _states(*, are_neighbours: bool) -> Select[*tuple[Any, ...]]:
    columns = [getattr(FeatureStateRow, name) for name in _STATE_FIELDS]
    among = is_among(FeatureStateRow.feature_index, are_neighbours=are_neighbours)
    return select(*columns).where(FeatureStateRow.sae_id == bindparam("sae"), among)


def list_chosen_by_people(session: Session, sae_id: int) -> list[int]:
    """Features, ascending, whose label in force is a person's own or was brought back by a person."""
    is_chosen = (LabelRow.source == LabelSource.HUMAN) | LabelRow.restored_from.is_not(None)
    statement = (
        select(FeatureStateRow.feature_index)
        .join(LabelRow, LabelRow.id == FeatureStateRow.current_label_id)
        .where(FeatureStateRow.sae_id == sae_id, is_chosen)
        .order_by(FeatureStateRow.feature_index)
    )
    return list(session.scalars(statement))
