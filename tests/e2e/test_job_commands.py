"""Cancelling, pausing and resuming a running extraction from the command line, with real processes."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.chaos import wait_for, worker_of
from tests.e2e.command import PATIENCE_S, Featlas

from featlas.testing.planted_sae import Planted


@contextmanager
def held(featlas: Featlas, process: "subprocess.Popen[str]", n_blocks: int) -> Iterator[psutil.Process]:
    """The worker, stopped in the middle of the pass once there are so many blocks; it goes on afterwards.

    Never while it holds the database's lock: others could not write for as long as it stands still.
    """
    found = wait_for(lambda: len(list(featlas.home.glob("artifacts/*/blocks/*.safetensors"))) >= n_blocks, process)
    worker = worker_of(process)
    assert found, process.communicate()
    assert worker is not None
    worker.suspend()
    while is_locked(featlas.home / "featlas.db"):
        worker.resume()
        time.sleep(0.01)
        worker.suspend()
    yield worker
    worker.resume()


def is_locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, stderr = process.communicate(timeout=PATIENCE_S)
    return process.returncode, stderr.splitlines()[-1]


def test_the_whole_life_of_a_job(planted: Planted, tmp_path: Path) -> None:
    text = save_documents(tmp_path / "made.jsonl", made_documents(400, seed=5))
    featlas = Featlas(tmp_path / "home")
    where = ["--model", planted.model, "--sae", planted.sae, "--text", text, "--ctx-len", 32, "--block-slots", 256]
    process = featlas.start("extract", *where)
    with held(featlas, process, 3):
        assert "running" == featlas.quick.json("jobs", "ls")[0]["state"]
        assert "is being paused" in featlas.run("jobs", "pause", 1).stdout
    assert (130, "featlas: job 1 was paused; `featlas jobs resume 1` goes on from what is done") == end(process)
    assert "paused" == featlas.quick.json("jobs", "show", 1)[0]["state"]
    assert "only a running job can be paused" in featlas.run("jobs", "pause", 1, code=4).stderr
    assert "nothing published yet" in featlas.quick.run("features", 1, code=4).stderr
    assert "pending" == featlas.quick.json("runs")[0]["state"]

    featlas.run("jobs", "cancel", 1)
    assert "cancelled" == featlas.quick.json("jobs", "show", 1)[0]["state"]
    assert "can be cancelled" in featlas.run("jobs", "cancel", 1, code=4).stderr

    n_before = len(list(featlas.home.glob("artifacts/*/blocks/*.safetensors")))
    process = featlas.start("jobs", "resume", 1)
    with held(featlas, process, n_before + 2):
        assert "is being cancelled" in featlas.run("jobs", "cancel", 1).stdout
    code, stderr = end(process)
    assert (130, True) == (code, "job 1 was cancelled" in stderr)

    done = featlas.run("extract", *where, "--json")
    assert "going on with job 1" in done.stderr
    assert (1, "finished") == (done.lines[-1]["run"], done.lines[-1]["state"])
    (shown,) = featlas.quick.json("jobs", "show", 1)
    life = ["queued", "started", "pause_requested", "paused", "cancelled", "resumed", "started", "cancel_requested"]
    assert [*life, "cancelled", "resumed", "started", "succeeded"] == [event["kind"] for event in shown["events"]]
    assert 3 == shown["attempt"]
    assert "job 1 is succeeded" in featlas.run("jobs", "resume", 1, code=4).stderr


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_an_interrupt_cancels_in_order(planted: Planted, tmp_path: Path, number: signal.Signals) -> None:
    text = save_documents(tmp_path / "made.jsonl", made_documents(400, seed=5))
    featlas = Featlas(tmp_path / "home")
    where = ["--model", planted.model, "--sae", planted.sae, "--text", text, "--ctx-len", 32, "--block-slots", 256]
    process = featlas.start("extract", *where)
    with held(featlas, process, 3):
        process.send_signal(number)
    code, stderr = end(process)
    assert (130, "featlas: job 1 was cancelled; `featlas jobs resume 1` goes on from what is done") == (code, stderr)


def test_no_such_job(tmp_path: Path) -> None:
    featlas = Featlas(tmp_path / "home")
    for command in ("show", "cancel", "pause", "resume"):
        assert "no job 7" in featlas.quick.run("jobs", command, 7, code=3).stderr
