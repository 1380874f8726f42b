"""50 readers and 80 watchers for half a minute at a server that extracts: no error, and others still get answers."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders.wide_run import build_wide_run
from tests.e2e.conftest import PlantedRun, planted, planted_run
from tests.e2e.crowded import busy_server, copy_home
from tests.e2e.load import Plan, require_orderly, run_load
from tests.e2e.page_speed import load_of_machine
from tools.record import save_record

from featlas.store.session import Store

__all__ = ["planted", "planted_run"]  # pytest finds fixtures by their names in the module

BAR_MS = 1000
N_READERS, N_WATCHERS, SECONDS, PAUSE_S = 50, 80, 30, 2.0
N_JOBS, N_DOCUMENTS = 12, 20_000
N_FEATURES, N_CONTEXTS = 32_768, 4096


@pytest.mark.timeout(3600)
def test_a_crowd_during_an_extraction(planted_run: PlantedRun, tmp_path: Path) -> None:
    featlas = copy_home(planted_run.featlas, tmp_path / "home")
    store = Store.open(f"sqlite:///{featlas.home / 'featlas.db'}")
    wide = build_wide_run(store, N_FEATURES, n_contexts=N_CONTEXTS)
    store.close()
    with busy_server(featlas, planted_run, tmp_path, N_JOBS, N_DOCUMENTS) as busy:
        (of_documents,) = [sae["uid"] for sae in busy.ask("saes") if sae["uid"] != wide.sae]
        plan = Plan(
            url=busy.url,
            sae=wide.sae,
            n_features=wide.n_features,
            document_sae=of_documents,
            n_documents=len(planted_run.documents),
            job_id=busy.jobs[0],
            n_readers=N_READERS,
            n_watchers=N_WATCHERS,
            seconds=SECONDS,
            pause_s=PAUSE_S,
        )
        outcome = run_load(plan)
        require_orderly(outcome, plan, busy.states())
        # And as no people are: without a pause. Nobody may get an error; what one waits is arithmetic, and recorded.
        relentless = run_load(replace(plan, pause_s=0))
        require_orderly(relentless, plan, busy.states())
    figures = outcome.figures() | {f"relentless_{name}": value for name, value in relentless.figures().items()}
    settings = {
        "n_readers": N_READERS,
        "n_watchers": N_WATCHERS,
        "seconds": SECONDS,
        "n_features": wide.n_features,
        "pause_s": PAUSE_S,
        "load_after": load_of_machine(),
    }
    print(figures, settings)
    save_record("load", figures, settings=settings)
    # A feature waits for its turn among the readers' questions: what else the machine does decides how long.
    assert figures["health_p95_ms"] < BAR_MS
    assert figures["feature_p95_ms"] < 5 * BAR_MS
