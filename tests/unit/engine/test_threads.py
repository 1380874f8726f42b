"""Work shared out to threads: in order, few at a time, errors at their turn, each thread computing alone."""

import threading
import time

import pytest
import torch

from featlas.engine.threads import map_in_threads


@pytest.fixture(autouse=True, params=[1, 2, 4])
def n_threads(request: pytest.FixtureRequest):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order():
    def work(n: int) -> int:
        time.sleep(0.001 * (n % 3))
        return n * n

    assert list(map_in_threads(work, range(20))) == [n * n for n in range(20)]


def test_each_thread_computes_alone_and_the_caller_as_before(n_threads: int):
    assert set(map_in_threads(lambda _: torch.get_num_threads(), range(8))) == {1}
    assert torch.get_num_threads() == n_threads


def test_no_more_are_begun_than_are_waited_for_soon(n_threads: int):
    begun: list[int] = []
    results = map_in_threads(begun.append, range(100))
    next(results)
    time.sleep(0.05)
    assert len(begun) <= n_threads + 1


def test_an_error_is_raised_at_its_turn_and_nothing_is_left_running():
    is_over = threading.Event()

    def work(n: int) -> int:
        if n == 2:
            raise ValueError("the third")
        time.sleep(0.02)
        assert not is_over.is_set()
        return n

    results = map_in_threads(work, range(50))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
    is_over.set()


def test_who_stops_listening_stops_the_work():
    done: list[int] = []
    results = map_in_threads(done.append, range(1000))
    next(results)
    results.close()
    n = len(done)
    time.sleep(0.05)
    assert len(done) == n < 1000
