from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.builders.stored_runs import (
    OCCURRENCES,
    fetch_again,
    make_batch,
    make_columns,
    make_contexts,
    make_header,
    make_run,
    register_inputs,
)
from tests.unit.store.test_reviews import Desk

from featlas.domain import FeatureFlag, QueueOrder
from featlas.errors import ConflictError, InputError
from featlas.query import QueryError
from featlas.store.column_cache import ColumnCache
from featlas.store.review_queue import ReviewQueue, is_waiting, list_queue
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter
from featlas.store.tables import FeatureStateRow

N_REAL, N_NULL = 8, 2


class Queued(Desk):
    """A published run of eight features, 0 the rarest and 7 the most frequent, and two null features behind them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        inputs = register_inputs(store, d_sae=N_REAL)
        self.sae_id, self.run, self.n = inputs.sae_id, make_run(store, inputs), 0
        self.cache = ColumnCache()

    def publish(self) -> None:
        writer = SnapshotWriter(self.store, self.run.id, make_header(N_REAL + N_NULL), OCCURRENCES)
        is_null = np.arange(N_REAL + N_NULL) >= N_REAL
        batch = replace(make_batch(0, N_REAL + N_NULL), flags=np.where(is_null, FeatureFlag.NULL, 0).astype(np.uint32))
        writer.add_contexts(make_contexts())
        writer.add_features(batch)
        writer.add_columns(make_columns(batch))
        writer.publish()
        self.run = fetch_again(self.store, self.run)

    def queue(self, text: str = "", **more: Any) -> ReviewQueue:
        with self.store.read() as session:
            return list_queue(session, self.cache, self.run, text, **more)

    def ids(self, text: str = "", **more: Any) -> list[int]:
        return self.queue(text, **more).ids.tolist()

    def score(self, **by_feature: float) -> None:
        """Give features scores by hand, `f3=0.5`, before anybody asks for the queue."""
        for name, value in by_feature.items():
            with self.store.write() as session:
                session.get_one(FeatureStateRow, (self.sae_id, int(name[1:]))).score = value


@pytest.fixture
def queued(store: Store) -> Queued:
    made = Queued(store)
    made.publish()
    return made


def test_what_has_a_label_that_nobody_judged_waits(queued: Queued):
    assert queued.ids() == []
    labels = [queued.machine(feature, text="courts") for feature in (1, 2, 3)]
    queued.machine(4, text="**", lint=("markup",))
    queued.machine(5, text=None)
    queued.human(6)
    assert queued.ids() == [4, 3, 2, 1]
    queued.accept(labels[0])
    queued.reject(labels[1])
    assert queued.ids() == [4, 3]
    assert [feature for feature in range(N_REAL) if is_waiting(queued.state(feature))] == [3, 4]
    queued.reject(queued.newest(4).id)
    assert queued.ids() == [3]
    queued.undo()
    queued.undo()
    assert queued.ids() == [4, 3, 2]


def test_a_feature_waits_again_for_the_label_that_takes_the_place_of_a_rejected_one(queued: Queued):
    queued.machine(3, text="one")
    second = queued.machine(3, text="two")
    queued.reject(second)
    assert queued.ids() == [3]
    queued.reject(queued.labels(3)[1].id)
    assert queued.ids() == []
    queued.machine(3, text="**three**", lint=("markup",))
    assert queued.ids() == [3]


def test_features_without_a_label_wait_where_the_query_asks_for_them(queued: Queued):
    queued.machine(1, text="courts")
    queued.reject(queued.machine(2, text="tennis"))
    queued.machine(3, text="**", lint=("markup",))
    assert queued.ids("feature_index:..4") == [3, 1]
    assert queued.ids("is:unlabeled") == queued.ids("-has:label") == queued.ids("-is:labeled") == [3, 7, 6, 5, 4, 2, 0]
    assert queued.ids("is:rejected") == [2]
    assert queued.ids("(is:unlabeled OR is:labeled) feature_index:..3") == [3, 2, 1, 0]
    queued.write_down(2)
    assert queued.ids("is:unlabeled feature_index:..2") == [0]
    queued.accept(queued.newest(1).id)
    assert queued.ids("is:accepted") == []


def test_nothing_is_said_of_random_directions(queued: Queued):
    assert queued.ids("is:null") == queued.ids("is:null is:unlabeled") == []
    assert queued.ids("(is:null OR -is:null) is:unlabeled") == [7, 6, 5, 4, 3, 2, 1, 0]


def test_what_is_in_doubt_comes_first(queued: Queued):
    for feature in (0, 1, 2, 3, 4):
        queued.machine(feature, text=f"label {feature}")
    queued.machine(5, text="**", lint=("markup",))
    queued.machine(0, text="one more")
    queued.score(f0=0.9, f2=0.1, f4=0.4)
    assert queued.ids() == [5, 2, 4, 0, 3, 1]
    assert queued.ids("sort:feature_index") == [5, 2, 4, 0, 3, 1]
    assert queued.ids("sort:feature_index", order=QueueOrder.QUERY) == [0, 1, 2, 3, 4, 5]
    assert queued.ids(order=QueueOrder.QUERY) == [5, 4, 3, 2, 1, 0]
    assert queued.ids("feature_index:1..3 has:label") == [2, 3, 1]


def test_what_a_reviewer_skipped_is_counted_and_left_out_for_them(queued: Queued):
    for feature in range(4):
        queued.machine(feature, text=f"label {feature}")
    queued.skip(3)
    queued.skip(1)
    queued.skip(7)
    queued.skip(0, by="bob")
    found = queued.queue(reviewer="ada")
    assert (found.ids.tolist(), found.n_skipped, found.selection.n_matches) == ([2, 0], 2, N_REAL)
    assert queued.queue("feature_index:1..2", reviewer="ada").n_skipped == 1
    assert queued.ids(reviewer="bob") == [3, 2, 1]
    assert queued.queue().n_skipped == 0
    assert queued.ids() == [3, 2, 1, 0]
    queued.undo()
    queued.undo()
    assert queued.ids(reviewer="ada") == [2, 1, 0]
    queued.age(0, 0, 0, 12 * 60 + 1)
    assert queued.ids(reviewer="ada") == [3, 2, 1, 0]


def test_a_queue_that_cannot_be_asked_for(store: Store):
    queued = Queued(store)
    with pytest.raises(ConflictError, match="has published nothing yet"):
        queued.queue()
    queued.publish()
    with pytest.raises(QueryError, match="unknown field"):
        queued.queue("nonsense:3")
    with pytest.raises(InputError, match="the reviewer's name has 201"):
        queued.queue(reviewer="x" * 201)
