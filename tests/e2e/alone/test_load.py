"""Readers and watchers at a server that works: nobody gets an error, and somebody else is still answered in time."""

from pathlib import Path

from tests.e2e.conftest import PlantedRun
from tests.e2e.crowded import busy_server, copy_home
from tests.e2e.load import Plan, require_orderly, run_load

BAR_S = 5 * 1.0
N_JOBS = 6


def test_a_small_crowd_during_an_extraction(planted_run: PlantedRun, tmp_path: Path):
    featlas = copy_home(planted_run.featlas, tmp_path / "home")
    with busy_server(featlas, planted_run, tmp_path, N_JOBS) as busy:
        (sae,) = busy.ask("saes")
        plan = Plan(
            url=busy.url,
            sae=sae["uid"],
            n_features=sae["d_sae"],
            document_sae=sae["uid"],
            n_documents=planted_run.n_documents,
            job_id=busy.jobs[0],
            n_readers=10,
            n_watchers=20,
            seconds=5,
            pause_s=0.2,
        )
        outcome = run_load(plan)
        states = busy.states()
    print(outcome.figures())
    require_orderly(outcome, plan, states)
    for waits in outcome.waits.values():
        assert sorted(waits)[int(0.95 * len(waits))] < BAR_S
