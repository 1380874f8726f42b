"""A run of many features, a chat server in a process of its own, and labeling jobs that are killed while they ask."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.builders.made_texts import made_documents, save_documents
from tests.builders.many_features import save_many_features
from tests.e2e.chaos import wait_for, worker_of
from tests.e2e.command import Done, Featlas

from featlas.domain import Label
from featlas.store.labelings import list_job_labels
from featlas.store.session import Store
from featlas.testing.planted_sae import Planted

CANARY = "sk-canary-3f9d51c2e8a7b604"
CONCURRENCY = 8
LABEL = ("label", "many", "--provider", "openai", "--no-rules")


@contextmanager
def chat_process(folder: Path, script: str = "label", delay_s: float = 0.05) -> Iterator["ChatProcess"]:
    """A scripted chat server that outlives whoever asks it."""
    log = folder / "requests.jsonl"
    command = [sys.executable, "-m", "featlas.testing.scripted_chat", "--script", script]
    command += ["--delay", str(delay_s), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ChatProcess(process.stdout.readline().strip(), log)
        finally:
            process.terminate()


@dataclass(frozen=True)
class ChatProcess:
    """Where the server is and what it was asked."""

    url: str
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


@dataclass
class AskingHome:
    """One home with a run of many features, whose labelings ask a server."""

    featlas: Featlas

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        return self.featlas.start(*LABEL, *arguments)

    def run(self, *arguments: object, code: int | None = 0) -> Done:
        return self.featlas.run(*LABEL, *arguments, code=code)

    def labels(self, job: int) -> list[Label]:
        store = Store.open(f"sqlite:///{self.featlas.home / 'featlas.db'}")
        try:
            with store.read() as session:
                return list_job_labels(session, job, limit=1_000_000)
        finally:
            store.close()

    def newest_job(self) -> dict[str, Any]:
        return self.featlas.quick.json("jobs", "ls")[0]


@dataclass
class Asking(AskingHome):
    """The same with its server in a process of its own, which outlives jobs that are killed."""

    chat: ChatProcess

    def kill_somewhere(self, process: "subprocess.Popen[str]", chance: random.Random) -> bool:
        """Kill the command and its worker a while after their first call; False where they were done before."""
        before = len(self.chat.requests())
        worker = wait_for(lambda: worker_of(process), process)
        if worker is None or wait_for(lambda: len(self.chat.requests()) > before, process) is None:
            return False
        time.sleep(chance.uniform(0.05, 1.0))
        was_running = process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        psutil.wait_procs([worker], timeout=30)
        assert not worker.is_running(), "the worker outlived its command"
        return was_running

    def check(self, job: int, n_kills: int) -> "Killed":
        """Every feature has one answer; what was asked more than once was in flight when a worker was killed."""
        labels = self.labels(job)
        features = Counter(label.feature_index for label in labels)
        assert set(features.values()) == {1}
        asked = Counter(request["user"] for request in self.chat.requests())
        n_again = sum(n - 1 for n in asked.values())
        # Nobody is asked about a feature that never fires on the label split.
        questions = {label.evidence_hash for label in labels if label.evidence != {"n_fires": 0}}
        assert len(asked) == len(questions)
        assert n_again <= n_kills * CONCURRENCY
        return Killed(len(features), n_kills, sum(asked.values()), n_again)


@dataclass(frozen=True)
class Killed:
    """What came of a job that was killed again and again; requests = features + calls in flight at the kills."""

    n_features: int
    n_kills: int
    n_requests: int
    n_asked_again: int


def make_asking_home(planted: Planted, folder: Path, url: str, d_sae: int = 500) -> AskingHome:
    sae = save_many_features(folder / "sae", planted, d_sae)
    text = save_documents(folder / "made.jsonl", made_documents(80))
    env = {"OPENAI_API_KEY": CANARY, "FEATLAS_OPENAI_BASE_URL": f"{url}/v1"}
    featlas = Featlas(folder / "home", env)
    where = ("--model", planted.model, "--sae", sae, "--text", text)
    featlas.run("extract", *where, "--ctx-len", 32, "--null-features", 0, "--force", "--name", "many")
    return AskingHome(featlas)


def make_asking(planted: Planted, folder: Path, chat: ChatProcess, d_sae: int = 500) -> Asking:
    return Asking(make_asking_home(planted, folder, chat.url, d_sae).featlas, chat)


def rounds_of_kills(asking: Asking, n_rounds: int, chance: random.Random) -> Killed:
    """One job, killed n_rounds times at random moments and taken up by the same command each time, to its end."""
    command = ("--concurrency", CONCURRENCY, "--json")
    n_kills = sum(asking.kill_somewhere(asking.start(*command), chance) for _ in range(n_rounds))
    job = asking.newest_job()["job"]
    if asking.newest_job()["state"] != "succeeded":
        asking.run(*command)
    assert (asking.newest_job()["job"], asking.newest_job()["state"]) == (job, "succeeded")
    return asking.check(job, n_kills)
