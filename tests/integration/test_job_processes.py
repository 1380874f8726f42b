"""Processes of jobs that are forked: the server they come from may die, may not fork everywhere, and opens nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from tests.integration.counting_bench import PATIENCE_S, Bench, environment, in_thread, list_workers

from featlas.domain import JobState
from featlas.entry.worker import PRELOAD
from featlas.store.session import Store


@pytest.fixture
def dialect() -> str:
    """Which database there is makes no difference here."""
    return "sqlite"


@pytest.fixture
def bench(store: Store, store_url: str, tmp_path: Path) -> Iterator[Bench]:
    yield Bench(store, tmp_path, environment(store_url, tmp_path), "forked")
    assert [] == list_workers()


def test_where_the_fork_server_dies_the_job_goes_on_by_another(bench: Bench) -> None:
    job_id = bench.enqueue(n=6, holds=(3,))
    thread, results = in_thread(lambda: bench.runner().run(job_id))
    bench.wait_for_numbers(3)
    worker = psutil.Process(bench.worker_pid(job_id))
    server = worker.parent()
    assert server is not None
    server.kill()
    psutil.wait_procs([worker], timeout=PATIENCE_S)
    assert not worker.is_running()
    bench.release(3)
    thread.join(PATIENCE_S)
    assert (JobState.SUCCEEDED, 2) == (results[0].state, results[0].attempt)
    bench.assert_counted(6)


@pytest.mark.parametrize("prevented", ["elsewhere", "failing"])
def test_where_nothing_can_be_forked_processes_start_fresh(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, prevented: str
) -> None:
    if prevented == "elsewhere":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setattr(forkserver, "ensure_running", Mock(side_effect=OSError("no memory")))
    job_id = bench.enqueue(n=4, holds=(3,))
    thread, results = in_thread(lambda: bench.runner().run(job_id))
    bench.wait_for_numbers(3)
    assert psutil.Process(bench.worker_pid(job_id)).ppid() == os.getpid()
    bench.release(3)
    thread.join(PATIENCE_S)
    assert JobState.SUCCEEDED is results[0].state


def test_what_jobs_are_forked_with_opens_no_device() -> None:
    """Drivers do not survive a fork."""
    look = f"""
import importlib, torch
def refuse(*_):
    raise AssertionError("a device was asked for")
for name in ("is_available", "device_count", "_lazy_init"):
    setattr(torch.cuda, name, refuse)
for module in {PRELOAD}:
    importlib.import_module(module)
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
