"""Directions as they are published and read, on both databases."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, update
from tests.builders.stored_directions import WITHOUT, begin_directions, publish_directions
from tests.builders.stored_runs import make_run, register_inputs

from featlas.domain import DirectionKind, MapMethod
from featlas.errors import ConflictError, NotFoundError
from featlas.specs import DirectionsSpec
from featlas.store import jobs
from featlas.store.directions import (
    ZERO,
    FeatureLogits,
    NearFeature,
    RatedToken,
    fetch_directions,
    fetch_logits,
    fetch_map,
    fetch_neighbours,
    find_directions,
)
from featlas.store.lease_owner import Owner
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.tables import FeatureLogitsRow, FeatureNeighboursRow, JobRow, SaeDirectionsRow, SaeMapRow

TABLES = (SaeDirectionsRow, FeatureLogitsRow, FeatureNeighboursRow, SaeMapRow)
ONE_WHOLE = [1, 4, 8, 1]


@pytest.fixture
def run(store: Store) -> Run:
    return make_run(store, register_inputs(store))


def counts(store: Store) -> list[int]:
    with store.read() as session:
        return [session.scalars(select(func.count()).select_from(table)).one() for table in TABLES]


def test_what_is_published_is_read(store: Store, run: Run) -> None:
    writer = publish_directions(store, run)
    with store.read() as session:
        directions = fetch_directions(session, run)
        logits = fetch_logits(session, run, directions, 3)
        near = fetch_neighbours(session, run, directions, DirectionKind.DECODER, 0)
        far = fetch_neighbours(session, run, directions, DirectionKind.ENCODER, 0)
        found = fetch_map(session, directions, MapMethod.PCA)
    assert writer.directions_id == directions.id
    assert {"decoder": 3, "encoder": 0} == directions.n_near_duplicates
    assert (RatedToken(2, " court", 4.0), RatedToken(7, "\n", 3.5)) == logits.promoted
    assert (RatedToken(0, "<s>", -3.0), RatedToken(1, "the", -2.5)) == logits.suppressed
    assert [(2, True), (3, False)] == [(item.feature_index, item.is_near_duplicate) for item in near.items]
    assert (NearFeature(2, 0.5), NearFeature(3, -0.25)) == far.items
    np.testing.assert_array_equal([0, np.nan, 2, 3], found.x)
    np.testing.assert_array_equal([0, np.nan, -2, -3], found.y)
    assert (0.5, 0.25) == found.explained_variance


def test_a_zero_direction_is_told_from_one_that_is_missing(store: Store, run: Run) -> None:
    publish_directions(store, run)
    with store.read() as session:
        directions = fetch_directions(session, run)
        assert FeatureLogits(ZERO) == fetch_logits(session, run, directions, WITHOUT)
        assert (ZERO, ()) == (
            (near := fetch_neighbours(session, run, directions, DirectionKind.DECODER, WITHOUT)).reason,
            near.items,
        )
        for index in (-1, 4):
            with pytest.raises(NotFoundError, match=f"no feature {index}; its features are 0 … 3"):
                fetch_logits(session, run, directions, index)
            with pytest.raises(NotFoundError, match=f"no feature {index}"):
                fetch_neighbours(session, run, directions, DirectionKind.ENCODER, index)


def test_nothing_is_seen_before_it_is_published(store: Store, run: Run) -> None:
    writer = begin_directions(store, run)
    with store.read() as session:
        assert find_directions(session, run) is None
        with pytest.raises(NotFoundError, match=rf"not computed yet; `featlas directions {run.id}` does it"):
            fetch_directions(session, run)
    with pytest.raises(ConflictError, match="lack map; nothing was published"):
        writer.publish({}, {})
    writer.publish({"map": "all the same"}, {})
    with store.read() as session, pytest.raises(NotFoundError, match="all the same"):
        fetch_map(session, fetch_directions(session, run), MapMethod.PCA)


def test_what_is_missing_is_named(store: Store, run: Run) -> None:
    writer = begin_directions(store, run)
    with store.write() as session:
        session.execute(FeatureLogitsRow.__table__.delete())  # type: ignore[attr-defined]
        of_encoder = FeatureNeighboursRow.kind == DirectionKind.ENCODER
        session.execute(FeatureNeighboursRow.__table__.delete().where(of_encoder))  # type: ignore[attr-defined]
    with pytest.raises(ConflictError, match="lack encoder, logits, map"):
        writer.publish({}, {})
    with pytest.raises(ConflictError, match="lack encoder;"):
        writer.publish({"logits": "none", "map": "none"}, {})


def test_the_newest_takes_the_place_of_the_last(store: Store, run: Run) -> None:
    first, second = publish_directions(store, run), publish_directions(store, run)
    assert ONE_WHOLE == counts(store)
    with store.read() as session:
        assert second.directions_id == fetch_directions(session, run).id > first.directions_id


def test_another_sae_has_its_own(store: Store, run: Run) -> None:
    other = make_run(store, register_inputs(store, mark="other"))
    publish_directions(store, run)
    with store.read() as session:
        assert find_directions(session, other) is None
    publish_directions(store, other)
    assert [2 * n for n in ONE_WHOLE] == counts(store)


@pytest.mark.parametrize(("state", "is_kept"), [("running", True), ("failed", False), ("paused", False)])
def test_leftovers_go_unless_somebody_may_be_writing_them(store: Store, run: Run, state: str, is_kept: bool) -> None:
    job = jobs.enqueue(store, "directions", DirectionsSpec(run="1"))
    jobs.claim(store, Owner.of_this_process(), 60, job_id=job.id)
    begin_directions(store, run, job.id)
    with store.write() as session:
        session.execute(update(JobRow).values(state=state))
    publish_directions(store, run)
    assert 1 + is_kept == counts(store)[0]
    publish_directions(store, run, job.id)  # the job's own next attempt
    assert ONE_WHOLE == counts(store)


def test_without_the_job_nothing_is_written(store: Store, run: Run) -> None:
    publish_directions(store, run)

    def guard(_session: Any) -> None:
        raise ConflictError("it was given to somebody else")

    with pytest.raises(ConflictError, match="somebody else"):
        begin_directions(store, run, guard=guard)
    writer = begin_directions(store, run)
    writer._guard = guard
    with pytest.raises(ConflictError, match="somebody else"):
        writer.publish({"map": "none"}, {})
    with store.read() as session:
        assert writer.directions_id != fetch_directions(session, run).id
