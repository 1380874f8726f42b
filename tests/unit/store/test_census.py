"""The numbers for those who watch over a store, on both databases."""

import datetime as dt

import pytest
from sqlalchemy import update

from featlas.errors import ConflictError, ExternalError
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.census import Census, take_census
from featlas.store.database import parse_url
from featlas.store.lease_owner import Owner
from featlas.store.readiness import require_ready
from featlas.store.session import Store
from featlas.store.tables import JobRow, utc_now
from featlas.store.workers import see_worker

ME = Owner.of_this_process()
OTHER = Owner("other", 1, 0.0)
SPEC = ExtractSpec(model="m", sae="s", text=("t",))


def _set(store: Store, job_id: int, **values: object) -> None:
    with store.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**values))


def test_an_empty_store_has_nothing(store: Store):
    assert take_census(store, 30) == Census({}, {}, 0, {}, 0, 0, 0)


def test_jobs_are_counted_by_kind_and_state(store: Store):
    first, second = jobs.enqueue(store, "extraction", SPEC), jobs.enqueue(store, "extraction", SPEC)
    labeling = jobs.enqueue(store, "labeling", SPEC)
    jobs.request_cancel(store, second.id)
    _set(store, first.id, queue="one", queued_at=utc_now() - dt.timedelta(seconds=100))
    _set(store, labeling.id, queue="other")
    _set(store, jobs.enqueue(store, "extraction", SPEC).id, queue="one")
    found = take_census(store, 30)
    assert found.jobs == {("extraction", "queued"): 2, ("extraction", "cancelled"): 1, ("labeling", "queued"): 1}
    assert found.waiting_s == {"one": pytest.approx(100, abs=30), "other": pytest.approx(0, abs=30)}


def test_running_jobs_whose_lease_ran_out_are_silent(store: Store):
    for lease_s in (60, -1):
        jobs.claim(store, OTHER, lease_s, job_id=jobs.enqueue(store, "extraction", SPEC).id)
    assert take_census(store, 30).n_silent == 1


def test_living_workers_are_counted_in_each_of_their_queues(store: Store):
    see_worker(store, ME, ["extraction", "light"], "0.1.0")
    see_worker(store, OTHER, ["light"], "0.1.0")
    assert take_census(store, 30).workers == {("extraction", "0.1.0"): 1, ("light", "0.1.0"): 2}
    assert take_census(store, -1).workers == {}


def test_what_labelings_spent_is_the_sum_of_their_results(store: Store):
    for money in (2_500_000_000, None):
        job = jobs.enqueue(store, "labeling", SPEC)
        _set(store, job.id, result={"n_tokens_in": 10, "n_tokens_out": 3, "cost_micro_usd": money})
    _set(store, jobs.enqueue(store, "labeling", SPEC).id, result={"n_new": 4})
    found = take_census(store, 30)
    assert (found.n_tokens_in, found.n_tokens_out, found.cost_micro_usd) == (20, 6, 2_500_000_000)


def test_a_store_at_head_is_ready(store: Store):
    require_ready(store.url, 2)


def test_a_database_without_tables_is_not_ready(empty_database_url: str):
    with pytest.raises(ConflictError, match="featlas db upgrade"):
        require_ready(parse_url(empty_database_url), 2)


def test_a_database_that_nobody_serves_is_not_ready():
    with pytest.raises(ExternalError):
        require_ready(parse_url("postgresql://nobody@127.0.0.1:1/nothing"), 2)
