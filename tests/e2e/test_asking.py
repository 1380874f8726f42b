"""Labeling by a language model in real processes: killed jobs lose nothing, and keys are nowhere to be found."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.e2e.asking import CANARY, Asking, chat_process, make_asking, rounds_of_kills
from tests.e2e.chaos import seed_of_commit, wait_for, worker_of

from featlas.testing.planted_sae import Planted


@pytest.fixture(scope="module")
def asking(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("asking")
    with chat_process(folder) as chat:
        yield make_asking(planted, folder, chat)


def test_a_killed_job_asks_again_only_what_was_in_flight(asking: Asking, capsys: pytest.CaptureFixture[str]) -> None:
    seed = seed_of_commit()
    said = rounds_of_kills(asking, 2, random.Random(seed))
    with capsys.disabled():
        print("", f"seed {seed}: {said}", sep="\n")


def test_the_key_is_nowhere(asking: Asking, tmp_path: Path) -> None:
    """Not in the database, logs, artifacts, output or process arguments; the server alone has it."""
    process = asking.start("--model", "another", "--relabel", "--query", "sort:-n_fires")
    seen: list[str] = []

    def look() -> bool:
        worker = worker_of(process)
        seen.extend(" ".join(one.cmdline()) for one in (psutil.Process(process.pid), worker) if one is not None)
        return worker is not None and len(asking.chat.requests()) > 0

    assert wait_for(look, process)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    asking.featlas.run("providers", "ls", "--json")
    shown = [stdout, stderr, *seen]
    wrong = asking.featlas.run("label", "many", "--provider", "openai", "--model", "m", "--template", "none", code=3)
    shown += [wrong.stdout, wrong.stderr, asking.featlas.run("jobs", "ls", "--json").stdout]
    assert CANARY[:12] not in "".join(shown)
    found = subprocess.run(
        ["grep", "-rlaF", CANARY[3:], str(asking.featlas.home)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
    assert {request["key"] for request in asking.chat.requests()} == {CANARY}


def test_a_missing_key_is_told_before_there_is_a_job(asking: Asking) -> None:
    n_jobs = len(asking.featlas.quick.json("jobs", "ls"))
    done = asking.featlas.run("label", "many", "--provider", "anthropic", code=2)
    assert "ANTHROPIC_API_KEY" in done.stderr
    assert len(asking.featlas.quick.json("jobs", "ls")) == n_jobs
