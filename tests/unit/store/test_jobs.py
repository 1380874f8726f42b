"""The life of a job on both databases: every legal step, no illegal one, one winner, and what dead workers leave."""

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from featlas import __version__
from featlas.domain import JobState
from featlas.errors import ConflictError, NotFoundError
from featlas.specs import Spec
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job, find_queued, find_unfinished, list_events, list_jobs
from featlas.store.jobs import Lease, Requests
from featlas.store.lease_owner import Owner
from featlas.store.session import Store

ME = Owner.of_this_process()
ELSEWHERE = Owner("elsewhere", 1, 0.0)


class CountSpec(Spec):
    n: int = 1


class QuickSpec(CountSpec):
    queue: ClassVar[str] = "interactive"


def _dead_process() -> Owner:
    return Owner(ME.host, ME.pid, ME.started_s - 1000)


def _started(store: Store, owner: Owner = ME, lease_s: float = 60) -> tuple[Job, Lease]:
    return jobs.claim(store, owner, lease_s, job_id=jobs.enqueue(store, "count", CountSpec()).id)


def _kinds(store: Store, job_id: int) -> list[str]:
    return [event.kind for event in list_events(store, job_id)]


class JobMachine(RuleBasedStateMachine):
    """Jobs in the store beside the same jobs as a few Python values."""

    jobs_made = Bundle("jobs_made")
    leases = Bundle("leases")

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.state: dict[int, JobState] = {}
        self.attempt: dict[int, int] = {}
        self.holder: dict[int, Lease | None] = {}
        self.asked: dict[int, set[str]] = {}
        self.n_owners = 0

    def _rest(self, job_id: int, state: JobState) -> None:
        self.state[job_id], self.holder[job_id], self.asked[job_id] = state, None, set()

    def _may(self, is_legal: bool, act: Callable[[], Any]) -> bool:
        if is_legal:
            act()
        else:
            with pytest.raises(ConflictError):
                act()
        return is_legal

    @rule(target=jobs_made)
    def enqueue(self) -> int:
        job_id = jobs.enqueue(self.store, "count", CountSpec()).id
        self._rest(job_id, JobState.QUEUED)
        self.attempt[job_id] = 1
        return job_id

    @rule(target=leases, job_id=jobs_made)
    def claim(self, job_id: int) -> Any:
        self.n_owners += 1
        owner = Owner("elsewhere", self.n_owners, 0.0)
        if not self._may(
            self.state[job_id] is JobState.QUEUED, lambda: jobs.claim(self.store, owner, 60, job_id=job_id)
        ):
            return multiple()
        lease = Lease(job_id, self.attempt[job_id], str(owner))
        self.state[job_id], self.holder[job_id] = JobState.RUNNING, lease
        return lease

    @rule(lease=leases, done=st.integers(0, 5))
    def heartbeat(self, lease: Lease, done: int) -> None:
        if self._may(self.holder[lease.job_id] == lease, lambda: jobs.heartbeat(self.store, lease, 60, {"done": done})):
            asked = self.asked[lease.job_id]
            assert Requests("cancel" in asked, "pause" in asked) == jobs.heartbeat(self.store, lease, 60)
            assert {"done": done} == fetch_job(self.store, lease.job_id).progress

    @rule(lease=leases, end=st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.PAUSED]))
    def end(self, lease: Lease, end: JobState) -> None:
        acts = {
            JobState.SUCCEEDED: lambda: jobs.succeed(self.store, lease, {"run": 1}),
            JobState.FAILED: lambda: jobs.fail(self.store, lease, "InputError", "no"),
            JobState.CANCELLED: lambda: jobs.cancel(self.store, lease),
            JobState.PAUSED: lambda: jobs.pause(self.store, lease),
        }
        if self._may(self.holder[lease.job_id] == lease, acts[end]):
            self._rest(lease.job_id, end)

    @rule(lease=leases)
    def guard(self, lease: Lease) -> None:
        def check() -> None:
            with self.store.write() as session:
                jobs.make_guard(lease)(session)

        self._may(self.holder[lease.job_id] == lease, check)

    @rule(lease=leases)
    def take_back(self, lease: Lease) -> None:
        job_id, asked = lease.job_id, self.asked[lease.job_id]
        if self._may(self.holder[job_id] == lease, lambda: jobs.take_back(self.store, lease)):
            if asked:
                self._rest(job_id, JobState.CANCELLED if "cancel" in asked else JobState.PAUSED)
            else:
                self._rest(job_id, JobState.QUEUED)
                self.attempt[job_id] += 1

    @rule(job_id=jobs_made)
    def request_cancel(self, job_id: int) -> None:
        state = self.state[job_id]
        is_legal = state in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
        if self._may(is_legal, lambda: jobs.request_cancel(self.store, job_id)):
            if state is JobState.RUNNING:
                self.asked[job_id].add("cancel")
            else:
                self._rest(job_id, JobState.CANCELLED)

    @rule(job_id=jobs_made)
    def request_pause(self, job_id: int) -> None:
        is_legal = self.state[job_id] is JobState.RUNNING and "cancel" not in self.asked[job_id]
        if self._may(is_legal, lambda: jobs.request_pause(self.store, job_id)):
            self.asked[job_id].add("pause")

    @rule(job_id=jobs_made)
    def resume(self, job_id: int) -> None:
        is_legal = self.state[job_id] in (JobState.PAUSED, JobState.FAILED, JobState.CANCELLED)
        if self._may(is_legal, lambda: jobs.resume(self.store, job_id)):
            self._rest(job_id, JobState.QUEUED)
            self.attempt[job_id] += 1

    @invariant()
    def rows_agree(self) -> None:
        for job_id, state in self.state.items():
            job, holder = fetch_job(self.store, job_id), self.holder[job_id]
            assert (state, self.attempt[job_id]) == (job.state, job.attempt)
            assert (holder.owner if holder else None) == job.lease_owner
            assert ("cancel" in self.asked[job_id], "pause" in self.asked[job_id]) == (
                job.cancel_requested,
                job.pause_requested,
            )
            assert (job.finished_at is not None) == (state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED))

    def teardown(self) -> None:
        for job_id in self.state:
            events = list_events(self.store, job_id)
            assert list(range(1, len(events) + 1)) == [event.seq for event in events]


def test_no_sequence_of_steps_leads_astray(store: Store) -> None:
    class Bound(JobMachine):
        def __init__(self) -> None:
            super().__init__(store)

    run_state_machine_as_test(Bound, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))


def test_two_claimers_never_both_win(store: Store) -> None:
    n_jobs, n_workers = 8, 6
    ids = [jobs.enqueue(store, "count", CountSpec()).id for _ in range(n_jobs)]
    winners: dict[int, list[int]] = {job_id: [] for job_id in ids}
    start = threading.Barrier(n_workers)

    def work(number: int) -> None:
        for job_id in ids:
            start.wait()
            try:
                jobs.claim(store, Owner("elsewhere", number, 0.0), 60, job_id=job_id)
                winners[job_id].append(number)
            except ConflictError:
                continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [1] * n_jobs == [len(won) for won in winners.values()]
    for job_id in ids:
        assert str(Owner("elsewhere", winners[job_id][0], 0.0)) == fetch_job(store, job_id).lease_owner
        assert ["queued", "started"] == _kinds(store, job_id)


def test_a_whole_life_is_told_by_its_events(store: Store) -> None:
    job, lease = _started(store)
    jobs.request_pause(store, job.id)
    jobs.request_pause(store, job.id)
    jobs.pause(store, lease, {"done": 3})
    jobs.resume(store, job.id)
    _, second = jobs.claim(store, ME, 60, job_id=job.id)
    jobs.fail(store, second, "InputError", "no such file")
    failed = fetch_job(store, job.id)
    assert ("InputError", "no such file", {"done": 3}) == (failed.error_class, failed.error_message, failed.progress)
    jobs.resume(store, job.id)
    assert (None, None) == (fetch_job(store, job.id).error_class, fetch_job(store, job.id).error_message)
    _, third = jobs.claim(store, ME, 60, job_id=job.id)
    jobs.succeed(store, third, {"run": 7})
    assert (3, {"run": 7}) == (fetch_job(store, job.id).attempt, fetch_job(store, job.id).result)
    told = "queued started pause_requested paused resumed started failed resumed started succeeded"
    assert told.split() == _kinds(store, job.id)
    assert ["failed", "resumed"] == [event.kind for event in list_events(store, job.id, after_seq=6, limit=2)]
    assert {"error_class": "InputError", "error_message": "no such file"} == list_events(store, job.id)[6].payload


def test_a_job_carries_its_spec(store: Store) -> None:
    job = jobs.enqueue(store, "count", QuickSpec(n=3))
    assert ({"n": 3}, QuickSpec(n=3).content_hash(), "interactive", __version__, 1) == (
        job.spec,
        job.spec_hash,
        job.queue,
        job.code_version,
        job.attempt,
    )
    assert job == fetch_job(store, job.id)
    assert "7" == job.uid[14]
    assert job.uid[19] in "89ab"
    assert dt.timedelta(minutes=1) > dt.datetime.now(dt.UTC) - job.created_at


def test_unknown_jobs_are_not_found(store: Store) -> None:
    for act in (jobs.request_cancel, jobs.request_pause, jobs.resume, fetch_job):
        with pytest.raises(NotFoundError, match="there is no job 99"):
            act(store, 99)
    with pytest.raises(NotFoundError):
        jobs.claim(store, ME, 60, job_id=99)


def test_a_conflict_says_what_the_job_is(store: Store) -> None:
    job, lease = _started(store)
    with pytest.raises(ConflictError, match=f"job {job.id} is running; only a queued job can be started"):
        jobs.claim(store, ME, 60, job_id=job.id)
    jobs.succeed(store, lease, {})
    with pytest.raises(ConflictError, match=f"job {job.id} is succeeded; only a paused, failed or cancelled job"):
        jobs.resume(store, job.id)
    with pytest.raises(ConflictError, match=f"job {job.id} is no longer ours"):
        jobs.heartbeat(store, lease, 60)


def test_heartbeats_extend_the_lease_and_keep_the_progress(store: Store) -> None:
    job, lease = _started(store, lease_s=10)
    jobs.heartbeat(store, lease, 100, {"done": 1})
    jobs.heartbeat(store, lease, 100)
    after = fetch_job(store, job.id)
    assert job.lease_until is not None
    assert after.lease_until is not None
    assert dt.timedelta(seconds=80) < after.lease_until - job.lease_until < dt.timedelta(seconds=150)
    assert {"done": 1} == after.progress


def test_the_queue_is_served_in_order(store: Store) -> None:
    assert find_queued(store) is None
    first, second = (jobs.enqueue(store, "count", CountSpec()).id for _ in range(2))
    quick = jobs.enqueue(store, "count", QuickSpec()).id
    assert [first, quick] == [job.id for job in (find_queued(store), find_queued(store, ["interactive"])) if job]
    _, lease = jobs.claim(store, ME, 60, job_id=first)
    jobs.take_back(store, lease)
    waiting = find_queued(store)
    assert waiting is not None
    assert second == waiting.id


def test_jobs_are_listed_newest_first(store: Store) -> None:
    ids = [jobs.enqueue(store, kind, CountSpec()).id for kind in ("a", "b", "a")]
    jobs.request_cancel(store, ids[0])
    assert list(reversed(ids)) == [job.id for job in list_jobs(store)]
    assert [ids[2]] == [job.id for job in list_jobs(store, limit=1)]
    assert [ids[1], ids[0]] == [job.id for job in list_jobs(store, before_id=ids[2])]
    assert [ids[2], ids[0]] == [job.id for job in list_jobs(store, kind="a")]
    assert [ids[0]] == [job.id for job in list_jobs(store, states=[JobState.CANCELLED])]


def test_the_unfinished_job_of_a_spec_is_found(store: Store) -> None:
    spec_hash = CountSpec().content_hash()
    assert find_unfinished(store, "count", spec_hash) is None
    job, lease = _started(store)
    jobs.enqueue(store, "count", CountSpec(n=2))
    found = find_unfinished(store, "count", spec_hash)
    assert found is not None
    assert job.id == found.id
    assert find_unfinished(store, "other", spec_hash) is None
    jobs.succeed(store, lease, {})
    assert find_unfinished(store, "count", spec_hash) is None


@pytest.mark.parametrize(
    ("owner", "lease_s", "is_freed"),
    [(ME, 60, False), (ME, -1, True), (_dead_process(), 60, True), (ELSEWHERE, 60, False), (ELSEWHERE, -1, True)],
)
def test_only_jobs_of_the_dead_and_the_silent_are_freed(
    store: Store, owner: Owner, lease_s: float, is_freed: bool
) -> None:
    job, lease = _started(store, owner, lease_s)
    freed = jobs.reconcile(store)
    assert ([job.id] if is_freed else []) == [job.id for job in freed]
    if is_freed:
        assert (JobState.QUEUED, 2, None) == (freed[0].state, freed[0].attempt, freed[0].lease_owner)
        with pytest.raises(ConflictError):
            jobs.succeed(store, lease, {})
        assert ["queued", "started", "lost"] == _kinds(store, job.id)
    assert [] == jobs.reconcile(store)


def test_what_was_asked_of_a_dead_worker_is_done(store: Store) -> None:
    cancelled, _ = _started(store, _dead_process())
    paused, _ = _started(store, _dead_process())
    jobs.request_cancel(store, cancelled.id)
    jobs.request_pause(store, paused.id)
    jobs.reconcile(store)
    assert JobState.CANCELLED is fetch_job(store, cancelled.id).state
    assert JobState.PAUSED is fetch_job(store, paused.id).state


def _crash(store: Store, job_id: int, done: int) -> Job:
    _, lease = jobs.claim(store, ME, 60, job_id=job_id)
    jobs.heartbeat(store, lease, 60, {"phase": "read", "done": done})
    return jobs.take_back(store, lease, max_crashes=3)


def test_crashes_in_a_row_end_in_failure(store: Store) -> None:
    job_id = jobs.enqueue(store, "count", CountSpec()).id
    assert [JobState.QUEUED, JobState.QUEUED] == [_crash(store, job_id, 5).state for _ in range(2)]
    last = _crash(store, job_id, 5)
    assert (JobState.FAILED, "WorkerCrash") == (last.state, last.error_class)
    assert "died 3 times in a row" in (last.error_message or "")
    jobs.resume(store, job_id)
    assert JobState.QUEUED is _crash(store, job_id, 5).state


def test_crashes_that_got_further_are_not_in_a_row(store: Store) -> None:
    job_id = jobs.enqueue(store, "count", CountSpec()).id
    states = [_crash(store, job_id, done).state for done in (1, 1, 2, 2, 3, 3, 3)]
    assert [JobState.QUEUED] * 6 + [JobState.FAILED] == states


def test_the_guard_keeps_the_job_until_the_results_are_in(store: Store) -> None:
    job, lease = _started(store)
    freed = threading.Event()

    def take_over() -> None:
        jobs.take_back(store, lease)
        freed.set()

    thread = threading.Thread(target=take_over)
    with store.write() as session:
        jobs.make_guard(lease)(session)
        thread.start()
        assert not freed.wait(0.3)
    thread.join()
    assert JobState.QUEUED is fetch_job(store, job.id).state


def test_owners_survive_the_row(store: Store) -> None:
    job, lease = _started(store)
    owner = Owner.parse(fetch_job(store, job.id).lease_owner or "")
    assert str(ME) == str(owner) == lease.owner
    assert (True, False) == (owner.is_on_this_host, owner.is_known_dead)
