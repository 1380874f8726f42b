"""The review queue: which of a query's features wait for a person, those in most doubt first."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from featlas.domain import FeatureFlag, FeatureState, QueueOrder, ReviewState
from featlas.query import Query
from featlas.query.tree import Has, Is, read_nodes
from featlas.store.column_cache import ColumnCache
from featlas.store.columns import REVIEWS, Columns, Indices, Mask, StateColumns, among
from featlas.store.listing import Selection, select_features
from featlas.store.paging import find_order
from featlas.store.read import published_snapshot
from featlas.store.reviews import find_skipped
from featlas.store.runs import Run

_UNREVIEWED = REVIEWS.index(ReviewState.UNREVIEWED)


@dataclass(frozen=True)
class ReviewQueue:
    """The features that wait, in order, and of how many others the reviewer said "not now"."""

    snapshot_id: int
    selection: Selection
    ids: Indices
    n_skipped: int


def list_queue(
    session: Session,
    cache: ColumnCache,
    run: Run,
    text: str = "",
    *,
    reviewer: str = "",
    order: QueueOrder = QueueOrder.DOUBT,
) -> ReviewQueue:
    """The features of a run that match a query and wait, but for those that the reviewer has just skipped.

    A feature waits that has a label which nobody judged: the one in force, or one that lint keeps from it. Features
    without a label in force wait for one to be written, where the query asks for them: by `is:unlabeled`,
    `is:rejected`, or `-is:labeled`, `-has:label`. Without a reviewer nothing counts as skipped.
    Raises QueryError for what cannot be asked, ConflictError where the run has published nothing yet.
    """
    snapshot_id, _ = published_snapshot(run)
    selection = select_features(session, cache, snapshot_id, text)
    columns, matches = selection.columns, selection.matches
    waits = _has_unjudged_label(columns.state)
    if _asks_for_unlabeled(selection.query):
        waits |= ~columns.state.has_label
    waits &= (columns.flags & FeatureFlag.NULL) == 0  # of random directions there is nothing to say
    waiting = matches[waits[matches]]
    skipped = np.isin(waiting, find_skipped(session, run.sae_id, reviewer) if reviewer else [])
    ids = waiting[~skipped]
    ordered = _by_query(ids, selection) if order is QueueOrder.QUERY else _by_doubt(ids, columns)
    return ReviewQueue(snapshot_id, selection, ordered, int(skipped.sum()))


def is_waiting(state: FeatureState) -> bool:
    """Whether there is a label of the feature which nobody judged, as `list_queue` means it."""
    has_label = state.current_label_id is not None or bool(state.lint_flags)
    return has_label and state.review_state is ReviewState.UNREVIEWED


def _has_unjudged_label(state: StateColumns) -> Mask:
    return (state.has_label | state.is_linted) & (state.review == _UNREVIEWED)


def _asks_for_unlabeled(query: Query) -> bool:
    return any(
        (isinstance(node, Is) and node.state in ("labeled", "unlabeled", "rejected"))
        or (isinstance(node, Has) and node.name == "label")
        for node in read_nodes(query.where)
    )


def _by_query(ids: Indices, selection: Selection) -> Indices:
    return find_order(among(ids, selection.columns), selection.query, selection.columns)


def _by_doubt(ids: Indices, columns: Columns) -> Indices:
    """`ids` ascend, so what is tied stays in the order of feature_index; a missing score comes after all others."""
    frequency = columns.facts["activation_frequency"][ids]
    return ids[np.lexsort([-frequency, columns.state.score[ids], ~columns.state.is_linted[ids]])]
