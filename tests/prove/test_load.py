"""Crowds at a server while an extraction runs, on one machine and on a team: no error, answers in time, flat memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.builders.wide_run import WideRun, build_wide_run
from tests.e2e.conftest import PlantedRun, planted, planted_run
from tests.e2e.crowded import Busy, busy_server, copy_home
from tests.e2e.load import Plan, require_orderly, run_load
from tests.e2e.page_speed import load_of_machine
from tests.e2e.teams import running_team
from tools.record import save_record

from featlas.store.session import Store

__all__ = ["planted", "planted_run"]  # pytest finds fixtures by their names in the module

BAR_MS = 1000
N_READERS, N_WATCHERS, SECONDS, PAUSE_S = 50, 80, 30, 2.0
N_JOBS, N_DOCUMENTS = 12, 20_000
N_FEATURES, N_CONTEXTS = 32_768, 4096
TEAM_READERS, TEAM_SECONDS, TEAM_PAUSE_S, WARM_S = 200, 60, 10.0, 15
FLAT = 1.2


@pytest.mark.timeout(3600)
def test_a_crowd_during_an_extraction(planted_run: PlantedRun, tmp_path: Path) -> None:
    """50 readers and 80 watchers for half a minute."""
    featlas = copy_home(planted_run.featlas, tmp_path / "home")
    wide = add_wide_run(f"sqlite:///{featlas.home / 'featlas.db'}")
    with busy_server(featlas, planted_run, tmp_path, N_JOBS, N_DOCUMENTS) as busy:
        plan = make_plan(busy, wide, planted_run, N_READERS, N_WATCHERS, SECONDS, PAUSE_S)
        outcome = run_load(plan)
        require_orderly(outcome, plan, busy.states())
        # And as no people are: without a pause. Nobody may get an error; what one waits is arithmetic, and recorded.
        relentless = run_load(replace(plan, pause_s=0))
        require_orderly(relentless, plan, busy.states())
    figures = outcome.figures() | {f"relentless_{name}": value for name, value in relentless.figures().items()}
    settings = settings_of(plan)
    print(figures, settings)
    save_record("load", figures, settings=settings)
    # A feature waits for its turn among the readers' questions: what else the machine does decides how long.
    assert figures["health_p95_ms"] < BAR_MS
    assert figures["feature_p95_ms"] < 5 * BAR_MS


@pytest.mark.timeout(3600)
def test_a_crowd_at_a_team(planted_run: PlantedRun, tmp_path: Path) -> None:
    """200 people for a minute, each of whom looks at an answer for ten seconds, while a worker extracts."""
    with running_team(tmp_path, 1) as team:
        team.featlas.run("extract", *planted_run.spec(), "--name", "planted")
        wide = add_wide_run(team.store_url)
        with busy_server(team.featlas, planted_run, tmp_path, N_JOBS, N_DOCUMENTS) as busy:
            plan = make_plan(busy, wide, planted_run, TEAM_READERS, N_WATCHERS, WARM_S, TEAM_PAUSE_S)
            run_load(plan)
            plan = replace(plan, seconds=TEAM_SECONDS)
            with watched_memory(busy.pid) as megabytes:
                outcome = run_load(plan)
            require_orderly(outcome, plan, busy.states())
    figures = outcome.figures() | {"memory_first_mb": megabytes[0], "memory_most_mb": max(megabytes)}
    settings = settings_of(plan)
    print(figures, settings)
    save_record("load-team", figures, settings=settings)
    assert figures["reader_p95_ms"] < BAR_MS
    assert max(megabytes) <= FLAT * megabytes[0]


def add_wide_run(url: str) -> WideRun:
    store = Store.open(url)
    try:
        return build_wide_run(store, N_FEATURES, n_contexts=N_CONTEXTS)
    finally:
        store.close()


def settings_of(plan: Plan) -> dict[str, Any]:
    """Who came to what, for the record; and what else the machine did."""
    names = ("n_readers", "n_watchers", "seconds", "n_features", "pause_s")
    return {**{name: getattr(plan, name) for name in names}, "load_after": load_of_machine()}


def make_plan(
    busy: Busy, wide: WideRun, planted_run: PlantedRun, n_readers: int, n_watchers: int, seconds: float, pause_s: float
) -> Plan:
    (of_documents,) = [sae["uid"] for sae in busy.ask("saes") if sae["uid"] != wide.sae]
    return Plan(
        url=busy.url,
        sae=wide.sae,
        n_features=wide.n_features,
        document_sae=of_documents,
        n_documents=planted_run.n_documents,
        job_id=busy.jobs[0],
        n_readers=n_readers,
        n_watchers=n_watchers,
        seconds=seconds,
        pause_s=pause_s,
    )


@contextmanager
def watched_memory(pid: int) -> Iterator[list[float]]:
    """The megabytes that a process has to itself, looked at every second until the block ends."""
    process, over, megabytes = psutil.Process(pid), threading.Event(), []

    def look() -> None:
        while True:
            megabytes.append(round(process.memory_full_info().uss / 1e6, 1))
            if over.wait(1):
                return

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield megabytes
    finally:
        over.set()
        looking.join()
