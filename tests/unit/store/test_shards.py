"""Shares of a job on both databases: held by one at a time, taken over from the dead, over with the job."""

import threading

import pytest

from featlas.errors import ConflictError
from featlas.specs import Spec
from featlas.store import jobs
from featlas.store.jobs import Lease
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.shards import (
    Shard,
    claim_shard,
    count_open_shards,
    finish_shard,
    has_free_shard,
    keep_shard,
    lay_out_shards,
    list_finished_shards,
    release_shard,
)

ME = Owner.of_this_process()
ELSEWHERE = Owner("elsewhere", 1, 0.0)
DEAD = Owner(ME.host, ME.pid, ME.started_s - 1000)
RANGES = [range(0, 2), range(2, 5), range(5, 6)]
KEY = "job-000001-abc"


class CountSpec(Spec):
    n: int = 1


@pytest.fixture
def lease(store: Store) -> Lease:
    """A running job with three shares."""
    _, lease = jobs.claim(store, ME, 60, job_id=jobs.enqueue(store, "count", CountSpec()).id)
    lay_out_shards(store, jobs.make_guard(lease), lease.job_id, KEY, RANGES)
    return lease


def _claim(store: Store, lease: Lease, owner: Owner = ME, lease_s: float = 60) -> Shard | None:
    return claim_shard(store, lease.job_id, KEY, owner, lease_s)


def test_shares_are_taken_in_order_and_done_once(store: Store, lease: Lease):
    taken = [_claim(store, lease) for _ in range(4)]
    assert [*RANGES, None] == [shard and shard.blocks for shard in taken]
    assert not has_free_shard(store, lease.job_id)
    assert taken[1] is not None
    finish_shard(store, taken[1])
    assert (2, {1: range(2, 5)}) == (count_open_shards(store, lease.job_id), list_finished_shards(store, lease.job_id))
    with pytest.raises(ConflictError, match="share 1 of job 1 was taken over"):
        finish_shard(store, taken[1])


def test_laying_out_again_keeps_what_there_is_of_the_same_plan(store: Store, lease: Lease):
    shard = _claim(store, lease)
    assert shard is not None
    finish_shard(store, shard)
    lay_out_shards(store, jobs.make_guard(lease), lease.job_id, KEY, RANGES)
    assert 2 == count_open_shards(store, lease.job_id)
    lay_out_shards(store, jobs.make_guard(lease), lease.job_id, "job-000001-def", [range(9)])
    assert _claim(store, lease) is None, "shares of a plan that is no more"
    assert 1 == count_open_shards(store, lease.job_id)


def test_who_lost_the_job_lays_nothing_out(store: Store, lease: Lease):
    jobs.take_back(store, lease)
    with pytest.raises(ConflictError, match="no longer ours"):
        lay_out_shards(store, jobs.make_guard(lease), lease.job_id, "other", RANGES)
    assert 3 == count_open_shards(store, lease.job_id)


@pytest.mark.parametrize(("owner", "lease_s"), [(DEAD, 60.0), (ELSEWHERE, -1.0)], ids=["dead process", "lease over"])
def test_the_share_of_a_dead_worker_is_taken_over(store: Store, lease: Lease, owner: Owner, lease_s: float):
    theirs = _claim(store, lease, owner, lease_s)
    ours = _claim(store, lease)
    assert theirs is not None
    assert ours is not None
    assert (theirs.blocks, 2) == (ours.blocks, ours.attempt)
    for act in (lambda: keep_shard(store, theirs, 60), lambda: finish_shard(store, theirs)):
        with pytest.raises(ConflictError, match="taken over"):
            act()
    release_shard(store, theirs)  # changes nothing any more
    keep_shard(store, ours, 60)
    finish_shard(store, ours)


def test_a_share_of_the_living_is_left_to_them(store: Store, lease: Lease):
    theirs = _claim(store, lease, ELSEWHERE)
    ours = _claim(store, lease)
    assert theirs is not None
    assert ours is not None
    assert (RANGES[0], RANGES[1]) == (theirs.blocks, ours.blocks)
    release_shard(store, theirs)
    again = _claim(store, lease)
    assert again is not None
    assert RANGES[0] == again.blocks


def test_helpers_outlast_a_change_of_hands_but_not_the_end(store: Store, lease: Lease):
    shard = _claim(store, lease)
    assert shard is not None
    jobs.take_back(store, lease)
    keep_shard(store, shard, 60)
    assert _claim(store, lease) is None, "nobody begins while the job has nobody"
    jobs.request_cancel(store, lease.job_id)
    with pytest.raises(ConflictError, match="job 1 is cancelled; its share 0 is not needed any more"):
        keep_shard(store, shard, 60)


def test_many_who_take_at_once_never_take_the_same(store: Store):
    _, lease = jobs.claim(store, ME, 60, job_id=jobs.enqueue(store, "count", CountSpec()).id)
    lay_out_shards(store, jobs.make_guard(lease), lease.job_id, KEY, [range(i, i + 1) for i in range(24)])
    taken: list[int] = []

    def take() -> None:
        while (shard := _claim(store, lease)) is not None:
            taken.append(shard.shard_index)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(24 - len(taken)):  # one who was overtaken may have given up before the last
        shard = _claim(store, lease)
        assert shard is not None
        taken.append(shard.shard_index)
    assert list(range(24)) == sorted(taken)
