"""Kills extractions at random moments, lets the same command go on, and holds the result to an undisturbed run."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text
from tests.builders.made_texts import made_documents, save_documents
from tests.builders.published import assert_same_files, assert_same_published, read_files, read_published
from tests.e2e.command import PATIENCE_S, Featlas

from featlas.store.runs import fetch_run
from featlas.store.session import Store
from featlas.testing.planted_sae import Planted

REPOSITORY = Path(__file__).parents[2]
KINDS = ("the command and its worker", "the worker")


def seed_of_commit() -> int:
    """Another seed for every commit, the same for everybody who looks at it."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return int(found.stdout.strip() or "0", 16) % 2**32


def wait_for(condition: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    """What the condition gives once it gives something; None where the process ended before."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        if process.poll() is not None:
            return None
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def worker_of(process: "subprocess.Popen[str]") -> psutil.Process | None:
    """The worker that a command has started, if it lives."""
    try:
        children = psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return None
    return children[0] if children else None


@dataclass
class Chaos:
    """Rounds of kills on one extraction, in one home."""

    featlas: Featlas
    arguments: list[object]
    undisturbed_s: float = 0.0  # from the plan to the end
    expected: tuple[dict, dict] = field(default_factory=lambda: ({}, {}))
    n_killed: int = 0

    def run_undisturbed(self) -> None:
        """Make the run that all others must equal, and see how long it takes."""
        process = self.featlas.start("extract", *self.arguments, "--json")
        wait_for(lambda: list(self.featlas.home.glob("artifacts/*/plan")), process)
        started = time.monotonic()
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, stderr
        self.undisturbed_s = time.monotonic() - started
        self.expected = self._results(1)
        assert '"run": 1' in stdout

    def round(self, kind: str, chance: random.Random) -> str:
        """Kill once at a random moment, go on to the end, compare; says what was done."""
        before = set(self.featlas.home.glob("artifacts/*/plan"))
        process = self.featlas.start("extract", *self.arguments, "--json")
        is_early = chance.random() < 0.2
        if not is_early:
            wait_for(lambda: set(self.featlas.home.glob("artifacts/*/plan")) - before, process)
        delay = chance.uniform(0, 4.0 if is_early else 0.9 * self.undisturbed_s)
        time.sleep(delay)
        was_running = self._kill(kind, process)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        if process.returncode:
            # A worker that dies before it has the job is told as what it is; later deaths the command makes good.
            is_told = kind == "the worker" and "before it could take the job" in stderr
            assert (5 if is_told else -signal.SIGKILL) == process.returncode, stderr
            stdout = self.featlas.run("extract", *self.arguments, "--json").stdout
        run = int(stdout.split('"run": ')[1].split(",")[0])
        files, published = self._results(run)
        assert_same_files(self.expected[0], files)
        assert_same_published(self.expected[1], published)
        self.n_killed += was_running
        when = f"{delay:.2f} s after {'the start' if is_early else 'the plan'}"
        return f"{kind} killed {when}{'' if was_running else ' (too late)'}: run {run} is the same"

    def assert_nothing_left_behind(self) -> None:
        """No run is pending, no job unfinished, no snapshot or temporary file left over."""
        assert {"finished"} == {run["state"] for run in self.featlas.quick.json("runs")}
        assert {"succeeded"} == {job["state"] for job in self.featlas.quick.json("jobs", "ls")}
        store = Store.open(f"sqlite:///{self.featlas.home / 'featlas.db'}")
        with store.read() as session:
            n_runs, n_snapshots = (session.scalar(text(f"SELECT count(*) FROM {t}")) for t in ("runs", "snapshots"))
        store.close()
        assert n_runs == n_snapshots
        assert [] == list(self.featlas.home.glob("artifacts/*/spool")) + list(
            self.featlas.home.glob("artifacts/*/*.partial")
        )

    def _kill(self, kind: str, process: "subprocess.Popen[str]") -> bool:
        worker = worker_of(process)
        if process.poll() is not None:
            return False
        if kind == "the worker":
            if worker is None:
                return False
            worker.kill()
            return True
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        if worker is not None:
            psutil.wait_procs([worker], timeout=30)
            assert not worker.is_running(), "the worker outlived its command"
        return True

    def _results(self, run_id: int) -> tuple[dict[str, bytes], dict[str, list]]:
        store = Store.open(f"sqlite:///{self.featlas.home / 'featlas.db'}")
        with store.read() as session:
            job = fetch_run(session, run_id).job_id
        published = read_published(store, run_id)
        store.close()
        (folder,) = self.featlas.home.glob(f"artifacts/job-{job:06d}-*")
        return read_files(folder), published


def make_chaos(planted: Planted, folder: Path, n_documents: int) -> Chaos:
    """An extraction of many small blocks, with its undisturbed run."""
    texts = save_documents(folder / "made.jsonl", made_documents(n_documents, seed=5))
    where = ["--model", planted.model, "--sae", planted.sae, "--text", texts]
    chaos = Chaos(Featlas(folder / "home"), [*where, "--ctx-len", 32, "--block-slots", 512, "--null-features", 64])
    chaos.run_undisturbed()
    return chaos
