import numpy as np
import pytest
from sqlalchemy import delete, func, select
from tests.builders.stored_runs import fetch_again, make_run, publish_run, register_inputs

from featlas.domain import Measure, NoMeasure, PartnerLists, Unit
from featlas.errors import ConflictError, NotFoundError
from featlas.specs import CorrelateSpec
from featlas.store import jobs
from featlas.store.correlations import (
    CorrelationFacts,
    CorrelationWriter,
    enqueue_correlation,
    fetch_correlation,
    fetch_partners,
    take_up_correlation,
)
from featlas.store.lease_owner import Owner
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.tables import CorrelationRow, FeaturePartnersRow, RunRow

N = 4


@pytest.fixture
def run(store: Store) -> Run:
    made = make_run(store, register_inputs(store))
    publish_run(store, made)
    return fetch_again(store, made)


def facts_of(run: Run, job_id: int | None = None, unit: Unit = Unit.TOKEN) -> CorrelationFacts:
    return CorrelationFacts(run.id, unit, 13, 1, 2, 3, job_id)


def lists(sign: float = 1.0) -> dict[Measure, PartnerLists]:
    """Feature 0 has the partners 2 and 3, 1 is dead, 2 has partner 0 and is nearly the same, 3 has none."""
    one = PartnerLists(
        indptr=np.array([0, 2, 2, 3, 3]),
        partner=np.array([2, 3, 0], dtype=np.uint32),
        value=np.array([0.75, -0.5, 0.75], dtype=np.float32) * np.float32(sign),
        low=np.array([0.5, -0.25, 0.5], dtype=np.float32),
        n_both=np.array([9, 0, 9], dtype=np.uint32),
        near_duplicate_of=np.array([-1, -1, 0, -1]),
        reasons=(None, NoMeasure.DEAD, None, None),
    )
    return dict.fromkeys(Measure, one)


def publish(store: Store, run: Run, sign: float = 1.0, **facts: object) -> CorrelationWriter:
    writer = CorrelationWriter(store, facts_of(run, **facts), N)  # type: ignore[arg-type]
    writer.add(0, lists(sign))
    writer.publish()
    return writer


def count(store: Store) -> tuple[int, int]:
    with store.read() as session:
        tables = (CorrelationRow, FeaturePartnersRow)
        n, n_lists = (session.scalars(select(func.count()).select_from(table)).one() for table in tables)
        return n, n_lists


def test_what_was_written_is_read(store: Store, run: Run):
    publish(store, run)
    with store.read() as session:
        correlation = fetch_correlation(session, run, Unit.TOKEN)
        found = [fetch_partners(session, correlation, feature, Measure.COSINE) for feature in range(N)]
        with pytest.raises(NotFoundError, match="no feature 4"):
            fetch_partners(session, correlation, 4, Measure.COSINE)
    assert (correlation.facts, correlation.is_estimate, correlation.share) == (facts_of(run), True, 0.5)
    assert (found[0].partner.tolist(), found[0].value.tolist()) == ([2, 3], [0.75, -0.5])
    assert (found[0].low.tolist(), found[0].n_both.tolist()) == ([0.5, -0.25], [9, 0])
    assert [one.reason for one in found] == [None, NoMeasure.DEAD, None, None]
    assert [one.near_duplicate_of for one in found] == [None, None, 0, None]
    assert found[3].partner.tolist() == []


def test_nothing_is_seen_before_it_is_whole(store: Store, run: Run):
    publish(store, run)
    writer = CorrelationWriter(store, facts_of(run), N)
    some = lists(2.0)
    del some[Measure.JACCARD]
    writer.add(0, some)
    with pytest.raises(ConflictError, match="12 of 16 lists"):
        writer.publish()
    with store.read() as session:
        correlation = fetch_correlation(session, run, Unit.TOKEN)
        assert fetch_partners(session, correlation, 0, Measure.COSINE).value[0] == 0.75
    publish(store, run, 2.0)
    with store.read() as session:
        correlation = fetch_correlation(session, run, Unit.TOKEN)
        assert fetch_partners(session, correlation, 0, Measure.COSINE).value[0] == 1.5
    assert count(store) == (1, 16)


def test_units_stand_beside_each_other(store: Store, run: Run):
    publish(store, run)
    publish(store, run, unit=Unit.CONTEXT)
    publish(store, run)
    assert count(store) == (2, 32)


def test_what_another_running_job_writes_is_spared(store: Store, run: Run):
    job = jobs.enqueue(store, "correlation", CorrelateSpec(run="1"))
    jobs.claim(store, Owner.of_this_process(), 60, job_id=job.id)
    other = CorrelationWriter(store, facts_of(run, job.id), N)
    other.add(0, lists(3.0))
    publish(store, run)
    other.publish()
    with store.read() as session:
        assert fetch_correlation(session, run, Unit.TOKEN).id > other.id


def test_partners_go_with_their_run(store: Store, run: Run):
    publish(store, run)
    with store.write() as session:
        session.execute(delete(RunRow).where(RunRow.id == run.id))
    assert count(store) == (0, 0)


def test_the_same_work_by_another_name_is_the_same_job(store: Store, run: Run):
    job = enqueue_correlation(store, CorrelateSpec(run=str(run.id)))
    assert (job.queue, job.spec["run"]) == ("extraction", run.uid)
    with pytest.raises(ConflictError, match=f"job {job.id} does the same"):
        enqueue_correlation(store, CorrelateSpec(run=run.name))
    taken, was = take_up_correlation(store, CorrelateSpec(run=run.name))
    assert (taken.id, str(was)) == (job.id, "queued")
    other, was = take_up_correlation(store, CorrelateSpec(run=run.name, unit="context"))
    assert (other.id != job.id, was) == (True, None)


def test_an_unfinished_run_is_not_correlated(store: Store):
    run = make_run(store, register_inputs(store))
    publish_run(store, run, is_partial=True)
    with pytest.raises(ConflictError, match="is not finished"):
        enqueue_correlation(store, CorrelateSpec(run=str(run.id)))
