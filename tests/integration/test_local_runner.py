"""Jobs in real processes under real signals: finished, failed, cancelled, paused, killed, orphaned."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.counting import CountSpec, helping_path
from tests.integration.counting_bench import PATIENCE_S, Bench, environment, in_thread, list_workers

from featlas.domain import JobState
from featlas.errors import (
    ConflictError,
    ExternalError,
    FeatlasError,
    InputError,
    JobCancelled,
    JobPaused,
    NotFoundError,
)
from featlas.explain import asking
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job, list_events
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.worker import local
from featlas.worker.local import LocalRunner, follow, job_error
from featlas.worker.processes import FreshProcesses

NOT_STARTING = FreshProcesses([sys.executable, "-c", "raise SystemExit('no such thing')"])


@pytest.fixture
def bench(store: Store, store_url: str, tmp_path: Path, way: str) -> Iterator[Bench]:
    yield Bench(store, tmp_path, environment(store_url, tmp_path), way)
    assert [] == list_workers()


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    """How processes are started: fresh, but where a test asks for both."""
    return getattr(request, "param", "fresh")


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> str:
    """SQLite but where a test asks for both: the steps of jobs themselves are tested on both with the store."""
    return getattr(request, "param", "sqlite")


BOTH = pytest.mark.parametrize("dialect", ["sqlite", "postgresql"], indirect=True)
BOTH_WAYS = pytest.mark.parametrize("way", ["fresh", "forked"], indirect=True)


@BOTH_WAYS
def test_a_job_runs_to_its_result(bench: Bench) -> None:
    job_id = bench.enqueue(n=20, step_s=0.05, holds=(10,))
    seen: list[Job] = []

    def see(row: Job) -> None:
        seen.append(row)
        if (row.progress or {}).get("done") == 10:
            bench.release(10)

    job = bench.runner().run(job_id, see)
    assert (JobState.SUCCEEDED, {"n": 20, "job": job_id, "threads": 3}) == (job.state, job.result)
    assert job_error(job) is None
    bench.assert_counted(20)
    done = [row.progress["done"] for row in seen if row.progress]
    assert sorted(done) == done
    assert job.progress is not None
    assert len(set(done)) <= job.progress["elapsed_s"] + 3  # written once a second, and at the end
    assert ("count", 20, 20, {"last": 19.0}) == tuple(job.progress[k] for k in ("phase", "done", "total", "figures"))
    assert job.progress["elapsed_s"] >= 1.0


@BOTH_WAYS
@pytest.mark.parametrize("niceness", [0, 7])
def test_a_worker_lets_others_go_first_where_it_is_told_to(bench: Bench, niceness: int) -> None:
    job_id = bench.enqueue(n=3, holds=(1,))
    found: list[int] = []

    def see(row: Job) -> None:
        if (row.progress or {}).get("done") == 1 and not found:
            found.append(psutil.Process(bench.worker_pid(job_id)).nice())
            bench.release(1)

    assert bench.runner(niceness=niceness).run(job_id, see).state is JobState.SUCCEEDED
    assert found == [psutil.Process().nice() + niceness]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("what", "expected", "message", "code"),
    [
        ("input_error", InputError, "the number 3 is not allowed", 2),
        ("query_error", InputError, "bad query at character 1: unknown field 'densty'", 2),
        ("bug", FeatlasError, "unexpected ValueError: a mistake; the traceback is in ", 1),
    ],
)
def test_an_error_keeps_its_class_message_and_code(
    bench: Bench, what: str, expected: type[FeatlasError], message: str, code: int
) -> None:
    job = bench.runner().run(bench.enqueue(at=3, what=what))
    error = job_error(job)
    assert JobState.FAILED is job.state
    assert error is not None
    assert (expected, code) == (type(error), error.exit_code)
    assert str(error).startswith(message)
    bench.assert_counted(3)


@BOTH_WAYS
def test_an_unexpected_error_leaves_its_traceback(bench: Bench) -> None:
    job = bench.runner().run(bench.enqueue(at=0, what="bug"))
    path = Path((job.error_message or "").rpartition(" ")[2])
    text = path.read_text()
    assert bench.home / "logs" / f"job-{job.id}.log" == path
    assert text.endswith("ValueError: a mistake\n")
    assert "counting.py" in text


def test_a_failed_job_goes_on_when_it_is_resumed(bench: Bench) -> None:
    job_id = bench.enqueue(at=3, what="input_error")
    bench.runner().run(job_id)
    bench.numbers.write_text("0\n1\n2\n3\n")
    jobs.resume(bench.store, job_id)
    assert JobState.SUCCEEDED is bench.runner().run(job_id).state
    bench.assert_counted(5)


def test_a_job_of_an_unknown_kind_fails(bench: Bench) -> None:
    job_id = jobs.enqueue(bench.store, "dreaming", CountSpec(path="x")).id
    error = job_error(bench.runner().run(job_id))
    assert isinstance(error, InputError)
    assert "knows no jobs of kind 'dreaming'; expected one of count" in str(error)


def test_a_request_that_this_version_cannot_read_fails(bench: Bench) -> None:
    class OlderSpec(CountSpec):
        gone: int = 1

    job_id = jobs.enqueue(bench.store, "count", OlderSpec(path="x")).id
    error = job_error(bench.runner().run(job_id))
    assert isinstance(error, InputError)
    assert f"cannot read the request of job {job_id}" in str(error)
    assert "gone" in str(error)


@BOTH_WAYS
def test_a_job_is_paused_and_goes_on(bench: Bench) -> None:
    job_id = bench.enqueue(n=6, holds=(3,))
    thread, results = in_thread(lambda: bench.runner().run(job_id))
    bench.wait_for_numbers(3)
    jobs.request_pause(bench.store, job_id)
    thread.join(PATIENCE_S)
    assert JobState.PAUSED is results[0].state
    assert isinstance(job_error(results[0]), JobPaused)
    bench.assert_counted(3)
    bench.release(3)
    jobs.resume(bench.store, job_id)
    done = bench.runner().run(job_id)
    assert (JobState.SUCCEEDED, 2) == (done.state, done.attempt)
    bench.assert_counted(6)


def test_a_job_is_cancelled(bench: Bench) -> None:
    job_id = bench.enqueue(n=4, holds=(3,))
    thread, results = in_thread(lambda: bench.runner().run(job_id))
    bench.wait_for_numbers(3)
    jobs.request_cancel(bench.store, job_id)
    thread.join(PATIENCE_S)
    error = job_error(results[0])
    assert JobState.CANCELLED is results[0].state
    assert isinstance(error, JobCancelled)
    assert 130 == error.exit_code


@BOTH_WAYS
@BOTH
def test_a_killed_worker_is_replaced_and_nothing_is_lost(bench: Bench) -> None:
    job_id = bench.enqueue(n=9, holds=(3, 6))
    thread, results = in_thread(lambda: bench.runner().run(job_id))
    for n in (3, 6):
        bench.wait_for_numbers(n)
        os.kill(bench.worker_pid(job_id), signal.SIGKILL)
        bench.release(n)
    thread.join(PATIENCE_S)
    assert (JobState.SUCCEEDED, 3) == (results[0].state, results[0].attempt)
    bench.assert_counted(9)
    events = [event.kind for event in list_events(bench.store, job_id)]
    assert ["queued", "started", "crashed", "started", "crashed", "started", "succeeded"] == events


@BOTH_WAYS
@pytest.mark.parametrize("what", ["crash", "exit"])
def test_a_job_that_always_kills_its_worker_fails(bench: Bench, what: str) -> None:
    job = bench.runner(max_crashes=2).run(bench.enqueue(at=0, what=what))
    assert (JobState.FAILED, 2, "WorkerCrash") == (job.state, job.attempt, job.error_class)
    error = job_error(job)
    assert error is not None
    assert ("the worker died 2 times in a row without getting any further", 1) == (str(error), error.exit_code)


@BOTH_WAYS
@BOTH
def test_a_killed_parent_takes_its_worker_along_and_the_next_start_goes_on_at_once(bench: Bench) -> None:
    job_id = bench.enqueue(n=6, holds=(3,))
    with bench.start_parent(job_id) as parent:
        bench.wait_for_numbers(3)
        worker = psutil.Process(bench.worker_pid(job_id))
        parent.kill()
    psutil.wait_procs([worker], timeout=PATIENCE_S)
    assert not worker.is_running()
    orphan = fetch_job(bench.store, job_id)
    assert (JobState.RUNNING, 1) == (orphan.state, orphan.attempt)
    bench.release(3)
    done = bench.runner().run(job_id)
    assert (JobState.SUCCEEDED, 2) == (done.state, done.attempt)
    bench.assert_counted(6)
    assert "lost" in [event.kind for event in list_events(bench.store, job_id)]


@BOTH_WAYS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_parent_cancels_in_order(bench: Bench, number: signal.Signals) -> None:
    job_id = bench.enqueue(n=4, holds=(3,))
    with bench.start_parent(job_id) as parent:
        bench.wait_for_numbers(3)
        parent.send_signal(number)
        output, _ = parent.communicate(timeout=PATIENCE_S)
    assert (130, JobState.CANCELLED) == (parent.returncode, fetch_job(bench.store, job_id).state)
    assert f"job {job_id} was cancelled; `featlas jobs resume {job_id}` goes on" in output
    bench.assert_counted(3)


def test_a_stopped_labeling_has_time_for_its_calls_in_flight() -> None:
    assert local.GRACE_S > asking.GRACE_S + 5


@BOTH_WAYS
def test_a_worker_that_does_not_listen_is_killed_after_the_grace(bench: Bench) -> None:
    job_id = bench.enqueue(n=4, what="deaf", holds=(3,))
    with bench.start_parent(job_id, "0.5") as parent:
        bench.wait_for_numbers(3)
        parent.send_signal(signal.SIGINT)
        parent.communicate(timeout=PATIENCE_S)
    assert (130, JobState.CANCELLED) == (parent.returncode, fetch_job(bench.store, job_id).state)


@BOTH_WAYS
def test_the_second_signal_does_not_wait(bench: Bench) -> None:
    job_id = bench.enqueue(n=4, what="deaf", holds=(3,))
    with bench.start_parent(job_id, "1000") as parent:
        bench.wait_for_numbers(3)
        parent.send_signal(signal.SIGINT)
        bench.wait(lambda: fetch_job(bench.store, job_id).cancel_requested)
        parent.send_signal(signal.SIGINT)
        parent.communicate(timeout=PATIENCE_S)
    assert (130, JobState.CANCELLED) == (parent.returncode, fetch_job(bench.store, job_id).state)


@BOTH_WAYS
def test_a_signal_to_the_worker_itself_cancels(bench: Bench) -> None:
    job_id = bench.enqueue(n=4, holds=(3,))
    thread, results = in_thread(lambda: bench.runner().run(job_id))
    bench.wait_for_numbers(3)
    os.kill(bench.worker_pid(job_id), signal.SIGTERM)
    thread.join(PATIENCE_S)
    assert JobState.CANCELLED is results[0].state


def test_a_worker_that_lost_its_lease_stops_and_changes_nothing(bench: Bench) -> None:
    job_id = bench.enqueue(n=4, holds=(3,))
    command = [sys.executable, "-m", "tests.integration.counting", "run-job", str(job_id)]
    with subprocess.Popen(command, env=bench.env, stderr=subprocess.PIPE, text=True) as worker:
        bench.wait_for_numbers(3)
        held = fetch_job(bench.store, job_id)
        jobs.take_back(bench.store, jobs.Lease(job_id, held.attempt, held.lease_owner or ""))
        _, output = worker.communicate(timeout=PATIENCE_S)
    assert ConflictError.exit_code == worker.returncode
    assert f"ConflictError: job {job_id} is no longer ours" in output
    after = fetch_job(bench.store, job_id)
    assert (JobState.QUEUED, 2, None) == (after.state, after.attempt, after.error_class)


def test_only_one_of_two_workers_gets_the_job(bench: Bench) -> None:
    job_id = bench.enqueue(n=4, holds=(3,))
    command = [sys.executable, "-m", "tests.integration.counting", "run-job", str(job_id)]
    workers = [subprocess.Popen(command, env=bench.env, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    bench.wait(lambda: sum(worker.poll() is not None for worker in workers) == 2)
    bench.release(3)
    outputs = [worker.communicate(timeout=PATIENCE_S)[1] for worker in workers]
    assert [0, 4, 4] == sorted(worker.returncode for worker in workers)
    assert 2 == sum("only a queued job can be started" in output for output in outputs)
    bench.assert_counted(4)


def test_a_job_that_is_not_queued_is_not_run(bench: Bench) -> None:
    job_id = bench.enqueue(n=1)
    bench.runner().run(job_id)
    with pytest.raises(ConflictError, match=f"job {job_id} is succeeded"):
        bench.runner().run(job_id)
    with pytest.raises(NotFoundError):
        bench.runner().run(99)


def test_a_worker_that_cannot_start_is_reported_with_its_log(bench: Bench) -> None:
    job_id = bench.enqueue(n=1)
    runner = bench.runner(processes=NOT_STARTING)
    with pytest.raises(ExternalError, match=f"ended with code 1 before .*job-{job_id}.log"):
        runner.run(job_id)
    assert JobState.QUEUED is fetch_job(bench.store, job_id).state
    assert "no such thing\n" == (bench.home / "logs" / f"job-{job_id}.log").read_text()


def test_a_worker_that_can_never_start_fails_its_job_and_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "RETRY_S", 0.01)
    job_id, other = bench.enqueue(n=1), bench.enqueue(n=1)
    runner = bench.runner(processes=NOT_STARTING)
    taken = runner.take(job_id, threading.Event())
    assert taken is not None
    assert (JobState.FAILED, 3) == (taken.state, (bench.home / "logs" / f"job-{job_id}.log").read_text().count("such"))
    error = job_error(taken)
    assert isinstance(error, ExternalError)
    assert f"ended with code 1 before it could take the job; its output is in {bench.home}" in str(error)
    kinds = [event.kind for event in list_events(bench.store, job_id)]
    assert ["queued", *["not_started"] * 3, "failed"] == kinds
    assert JobState.SUCCEEDED is bench.runner().run(other).state
    jobs.resume(bench.store, job_id)
    assert JobState.SUCCEEDED is bench.runner().run(job_id).state


def test_starts_that_fail_are_counted_anew_once_one_succeeded(bench: Bench) -> None:
    job_id = bench.enqueue(n=1)
    for _ in range(2):
        job = jobs.count_failed_start(bench.store, job_id, 1, "why", max_failures=3)
        assert JobState.QUEUED is job.state
    assert (
        JobState.QUEUED is jobs.count_failed_start(bench.store, job_id, 7, "of another attempt", max_failures=1).state
    )
    assert JobState.SUCCEEDED is bench.runner().run(job_id).state
    assert JobState.SUCCEEDED is jobs.count_failed_start(bench.store, job_id, 1, "too late", max_failures=1).state


def test_an_unwritable_log_folder_is_the_surroundings_fault(bench: Bench) -> None:
    (bench.home / "file").write_text("")
    runner = LocalRunner(bench.store, bench.home / "file" / "logs")
    with pytest.raises(ExternalError, match="cannot write the log"):
        runner.run(bench.enqueue(n=1))


def test_wrong_settings_are_named(bench: Bench) -> None:
    command = [sys.executable, "-m", "featlas.entry.worker", "run-job", "1"]
    env = {**bench.env, "FEATLAS_THREADS": "many"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "FEATLAS_THREADS = 'many'" in done.stderr
    assert "Traceback" not in done.stderr


@BOTH_WAYS
def test_jobs_are_served_in_order_until_the_end_which_hands_the_last_one_back(bench: Bench) -> None:
    short, long = bench.enqueue(n=3), bench.enqueue(n=6, holds=(5,))  # both into one file
    stop = threading.Event()
    thread = threading.Thread(target=lambda: bench.runner().serve(stop, poll_s=0.05))
    thread.start()
    bench.wait_for_numbers(5)
    stop.set()
    thread.join(PATIENCE_S)
    assert JobState.SUCCEEDED is fetch_job(bench.store, short).state
    handed_back = fetch_job(bench.store, long)
    assert (JobState.QUEUED, 2) == (handed_back.state, handed_back.attempt)
    assert "lost" == list_events(bench.store, long)[-1].kind


def test_anybody_may_follow(bench: Bench) -> None:
    job_id = bench.enqueue(n=5, holds=(4,))
    states: list[JobState] = []
    threads: list[threading.Thread] = []

    def see(job: Job) -> None:
        states.append(job.state)
        if not threads:
            threads.append(in_thread(lambda: bench.runner().run(job_id))[0])
        if job.state is JobState.RUNNING:
            bench.release(4)

    last = follow(bench.store, job_id, see, poll_s=0.05)
    threads[0].join(PATIENCE_S)
    assert JobState.SUCCEEDED is last.state
    assert [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED] == list(dict.fromkeys(states))


def test_who_follows_a_job_whose_runner_died_is_told(bench: Bench) -> None:
    job_id = bench.enqueue(n=1)
    jobs.claim(bench.store, Owner("elsewhere", 1, 0.0), 0.5, job_id=job_id)
    with pytest.raises(ConflictError, match=f"job {job_id} lost its worker; `featlas jobs resume {job_id}` goes on"):
        follow(bench.store, job_id, lambda _job: None, poll_s=0.05)
    assert (JobState.QUEUED, "lost") == (
        fetch_job(bench.store, job_id).state,
        list_events(bench.store, job_id)[-1].kind,
    )


def _helpin_thread(bench: Bench, job_id: int, hand_back: threading.Event) -> tuple[threading.Thread, list[int]]:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(bench.runner().help(job_id, hand_back)), daemon=True)
    thread.start()
    bench.wait(lambda: helping_path(bench.numbers).exists())
    return thread, codes


@BOTH_WAYS
def test_who_helps_takes_the_job_where_it_lost_its_worker(bench: Bench) -> None:
    job_id = bench.enqueue()
    _, lease = jobs.claim(bench.store, Owner.of_this_process(), 60, job_id=job_id)
    thread, codes = _helpin_thread(bench, job_id, threading.Event())
    thread.join(1)
    assert thread.is_alive(), "it stopped although the job is in good hands"
    jobs.take_back(bench.store, lease)
    thread.join(PATIENCE_S)
    assert ([0], JobState.SUCCEEDED) == (codes, fetch_job(bench.store, job_id).state)
    bench.assert_counted(5)


def test_who_helps_goes_on_where_another_was_quicker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = bench.enqueue()
    jobs.claim(bench.store, Owner.of_this_process(), 60, job_id=job_id)
    seen: list[bool] = []

    def sees_it_queued_once(_runner: LocalRunner, _job_id: int) -> bool:
        seen.append(len(seen) == 0)
        return seen[-1]

    monkeypatch.setattr(LocalRunner, "_is_queued", sees_it_queued_once)
    hand_back = threading.Event()
    thread, codes = _helpin_thread(bench, job_id, hand_back)
    bench.wait(lambda: len(seen) > 3)
    assert thread.is_alive()
    hand_back.set()
    thread.join(PATIENCE_S)
    assert ([0], JobState.RUNNING) == (codes, fetch_job(bench.store, job_id).state)
