"""Which queued jobs a bell must be rung for, on both databases."""

import threading

from tests.unit.store.test_jobs import CountSpec, QuickSpec

from featlas.store import jobs
from featlas.store.job_views import Job
from featlas.store.jobs import Lease
from featlas.store.lease_owner import Owner
from featlas.store.session import Store


def _started(store: Store) -> tuple[Job, Lease]:
    return jobs.claim(store, Owner.of_this_process(), 60, job_id=jobs.enqueue(store, "count", CountSpec()).id)


def test_bells_are_rung_for_jobs_that_wait_without_one(store: Store) -> None:
    first, second = (jobs.enqueue(store, "count", CountSpec()).id for _ in range(2))
    quick = jobs.enqueue(store, "count", QuickSpec()).id
    _started(store)  # runs: nobody has to be woken for it
    ring = jobs.choose_rings
    assert [] == ring(store, {"light": 2}, quiet_s=60), "as many bells lie there as jobs wait"
    assert [(first, "light")] == ring(store, {"light": 1}, quiet_s=60)
    assert [(second, "light"), (quick, "interactive")] == ring(store, {"light": 0, "interactive": 0}, quiet_s=60)
    assert [] == ring(store, {"light": 0, "interactive": 0}, quiet_s=60), "all were rung for just now"
    assert [(first, "light"), (second, "light")] == ring(store, {"light": 0}, quiet_s=0)


def test_a_job_that_comes_back_is_rung_for_at_once(store: Store) -> None:
    job, lease = _started(store)
    jobs.note_ring(store, job.id)
    jobs.take_back(store, lease)
    assert [(job.id, "light")] == jobs.choose_rings(store, {"light": 0}, quiet_s=60)


def test_two_who_ring_at_once_ring_once_each(store: Store) -> None:
    ids = {jobs.enqueue(store, "count", CountSpec()).id for _ in range(20)}
    chosen: list[list[tuple[int, str]]] = []
    threads = [
        threading.Thread(target=lambda: chosen.append(jobs.choose_rings(store, {"light": 0}, quiet_s=60)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rung = [job_id for part in chosen for job_id, _ in part]
    assert sorted(ids) == sorted(rung)
