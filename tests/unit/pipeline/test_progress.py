"""Progress as a job row shows it: counts, rates over the last minute, time left; and the ways to be stopped."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.errors import ConflictError, JobCancelled, JobPaused
from featlas.pipeline.progress import Meter, NeverStop, NoProgress, Progress, Stop, StopFlag


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_steady_worker_has_a_rate_and_a_time_left() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.phase("read", 1000, "tokens")
    for _ in range(20):
        clock.now += 1
        meter.advance(10, loss=0.5)
    shown = meter.snapshot()
    assert ("read", "tokens", 200, 1000, 20.0) == tuple(
        shown[k] for k in ("phase", "unit", "done", "total", "elapsed_s")
    )
    assert (10.0, 80.0, {"loss": 0.5}) == (shown["rate"], shown["eta_s"], shown["figures"])


def test_the_rate_forgets_what_is_older_than_a_minute() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.phase("read", None, "tokens")
    for rate in [1000] * 100 + [10] * 61:
        clock.now += 1
        meter.advance(rate)
    assert 10.0 == meter.snapshot()["rate"]
    assert meter.snapshot()["eta_s"] is None


def test_a_worker_that_hangs_gets_slower() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.phase("read", 100)
    clock.now += 1
    meter.advance(50)
    clock.now += 99
    assert (0.5, 100.0) == (meter.snapshot()["rate"], meter.snapshot()["eta_s"])


def test_what_was_done_before_a_resume_is_no_speed() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.phase("read", 1000, done=900)
    clock.now += 1
    meter.advance(50)
    assert (950, 50.0, 1.0) == tuple(meter.snapshot()[k] for k in ("done", "rate", "eta_s"))


def test_before_anything_is_done_nothing_is_known() -> None:
    shown = Meter(Clock()).snapshot()
    assert ("", 0, None, None, []) == tuple(shown[k] for k in ("phase", "done", "rate", "eta_s", "phases"))


def test_phases_that_ended_keep_their_times() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.phase("load")
    clock.now += 2
    meter.phase("read", 10, "tokens", done=2)
    meter.advance(8, loss=1.0)
    clock.now += 4
    meter.phase("publish")
    ended = [
        {"phase": "load", "unit": "", "done": 0, "elapsed_s": 2.0, "rate": None},
        {"phase": "read", "unit": "tokens", "done": 10, "elapsed_s": 4.0, "rate": 2.0},
    ]
    assert ended == meter.snapshot()["phases"]
    assert {} == meter.snapshot()["figures"]


def test_more_than_was_expected_leaves_no_time() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.phase("read", 10)
    clock.now += 1
    meter.advance(15)
    assert 0.0 == meter.snapshot()["eta_s"]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1000)), max_size=50))
def test_the_count_is_exact_and_ready_for_json(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.phase("read", 500)
    for wait, n in steps:
        clock.now += wait
        meter.advance(n)
    shown = meter.snapshot()
    assert sum(n for _, n in steps) == shown["done"]
    assert shown == json.loads(json.dumps(shown, allow_nan=False))


def test_numbers_of_numpy_and_unknown_ones_fit_a_row() -> None:
    meter = Meter(Clock())
    meter.advance(np.int64(3), loss=np.float32(0.5), l0=float("nan"))  # pyright: ignore[reportArgumentType]
    shown = json.loads(json.dumps(meter.snapshot(), allow_nan=False))
    assert (3, {"loss": 0.5, "l0": None}) == (shown["done"], shown["figures"])


def test_other_threads_may_look() -> None:
    meter = Meter()
    meter.phase("read")
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(meter.snapshot()["done"] for _ in range(500)))
    reader.start()
    for i in range(5000):
        meter.advance(1, **{f"figure_{i}": 1.0})
    reader.join()
    assert sorted(seen) == seen
    assert 5000 == meter.snapshot()["done"]


@pytest.mark.parametrize(("ask", "expected"), [("cancel", JobCancelled), ("pause", JobPaused)])
def test_the_first_word_counts(ask: str, expected: type[Exception]) -> None:
    flag = StopFlag()
    flag.check()
    getattr(flag, ask)()
    flag.stop(ConflictError("too late"))
    for _ in range(2):
        with pytest.raises(expected):
            flag.check()


def test_python_callers_need_not_listen() -> None:
    progress: Progress = NoProgress()
    stop: Stop = NeverStop()
    progress.phase("read", 10)
    progress.advance(3, loss=0.1)
    stop.check()
