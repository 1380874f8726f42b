"""A place to run jobs that count: a store, a home, and both ways to start their processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.integration import counting
from tests.integration.counting import CountSpec, release

from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.worker.local import LocalRunner

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0


@dataclass
class Bench:
    """A store, a home, and the ways to run jobs there; `way` is how processes start."""

    store: Store
    home: Path
    env: dict[str, str]
    way: str

    @property
    def numbers(self) -> Path:
        return self.home / "numbers"

    def runner(self, **options: Any) -> LocalRunner:
        return LocalRunner(
            self.store, self.home / "logs", **{"processes": counting.processes(self.way, self.env), **options}
        )

    def enqueue(self, **spec: Any) -> int:
        return jobs.enqueue(self.store, "count", CountSpec(path=str(self.numbers), **spec)).id

    def start_parent(self, job_id: int, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.integration.counting_parent", str(job_id), self.way, *arguments]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True)

    def wait_for_numbers(self, n: int) -> None:
        self.wait(lambda: self.numbers.exists() and len(self.numbers.read_text().split()) >= n)

    def release(self, number: int) -> None:
        release(self.numbers, number)

    def worker_pid(self, job_id: int) -> int:
        return Owner.parse(fetch_job(self.store, job_id).lease_owner or "").pid

    def wait(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.02)

    def assert_counted(self, n: int) -> None:
        assert [str(number) for number in range(n)] == self.numbers.read_text().split()


def environment(store_url: str, home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FEATLAS_")}
    settings = {"FEATLAS_HOME": str(home), "FEATLAS_DATABASE_URL": store_url, "FEATLAS_THREADS": "3"}
    return {**kept, **settings, "PYTHONPATH": str(ROOT)}


def list_workers() -> list[list[str]]:
    """The command lines of the workers below this process."""
    return [child.cmdline() for child in psutil.Process().children(recursive=True) if _is_worker(child)]


def _is_worker(child: psutil.Process) -> bool:
    try:
        parent = child.parent()
        is_forked = parent is not None and parent.pid != os.getpid() and "forkserver" in " ".join(parent.cmdline())
        is_fresh = "tests.integration.counting" in " ".join(child.cmdline())
        return child.status() != psutil.STATUS_ZOMBIE and (is_fresh or is_forked)
    except psutil.NoSuchProcess:  # or a zombie
        return False


def in_thread(act: Callable[[], Job]) -> tuple[threading.Thread, list[Job]]:
    """A thread that does this, and the list that takes what comes out."""
    results: list[Job] = []
    thread = threading.Thread(target=lambda: results.append(act()))
    thread.start()
    return thread, results
