"""A team of workers over PostgreSQL and Redis gives the result of one process, whatever happens to it."""

import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import expect
from tests.browser import browser
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e import team_chaos as acts
from tests.e2e.chaos import seed_of_commit
from tests.e2e.command import Featlas
from tests.e2e.crowded import ask
from tests.e2e.pages.conftest import sae_of, watch
from tests.e2e.pages.label_bench import JOB_MS
from tests.e2e.serving import serving
from tests.e2e.team_chaos import BEGINNINGS, DISTURBANCES, N_WORKERS, TeamChaos, make_team_chaos
from tests.e2e.teams import PATIENCE_S, Team, TooLate, running_team
from tests.servers import free_port

from featlas.domain import JobState
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.job_views import fetch_job
from featlas.store.session import Store
from featlas.store.tables import JobShardRow
from featlas.store.upgrade import upgrade
from featlas.testing.planted_sae import Planted

T = TypeVar("T")

MOST_TRIES = 3
ROUNDS = (
    (acts.asked_of_a_server_that_is_killed, (acts.a_worker_killed_mid_shard, acts.redis_back_empty)),
    (acts.asked_for_without_a_broker, (acts.the_jobs_process_killed, acts.postgresql_restarted)),
    (acts.every_message_twice, (acts.taken_back_by_two_at_once, acts.cancelled_and_resumed)),
)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running_team(tmp_path_factory.mktemp("team"), N_WORKERS) as started:
        yield started


@pytest.fixture(scope="module")
def chaos(planted: Planted, team: Team, tmp_path_factory: pytest.TempPathFactory) -> TeamChaos:
    return make_team_chaos(planted, team, tmp_path_factory.mktemp("chaos"), 2000, seed_of_commit())


def in_time(attempt: Callable[[], T]) -> T:
    """What it gives; where the machine was quicker than we, the job is over and we begin another."""
    for _ in range(MOST_TRIES):
        with contextlib.suppress(TooLate):
            return attempt()
    pytest.fail(f"every one of {MOST_TRIES} jobs was over before it could be disturbed")


def test_three_workers_publish_what_one_process_does(chaos: TeamChaos):
    def shared() -> int:
        job_id = chaos.team.enqueue(chaos.spec)
        chaos.team.wait_for_other(job_id)
        return job_id

    job_id = in_time(shared)
    chaos.team.wait_for_end(job_id)
    chaos.team.assert_same(chaos.expected, job_id)
    with chaos.team.opened() as store, store.read() as session:
        shards = session.query(JobShardRow).filter_by(job_id=job_id).all()
    assert len(shards) > N_WORKERS
    assert {1} == {shard.attempt for shard in shards}, "a share was made twice without need"


def test_a_person_labels_in_the_browser_and_a_worker_does_it(chaos: TeamChaos):
    team = chaos.team
    team.start_workers(N_WORKERS)
    with serving(team.featlas) as server, browser() as chromium:
        for watched in watch(chromium, server.url):
            page = watched.open("jobs")
            expect(page.get_by_text(re.compile(rf"{N_WORKERS} workers on .*labeling"))).to_be_visible()
            page = watched.open(f"s/{sae_of(watched)}/label")
            page.get_by_role("button", name=re.compile("^No model")).click()
            page.get_by_role("region", name="What it takes").get_by_role("button", name="Start").click()
            page.wait_for_url("**/jobs/*")
            expect(page.get_by_role("main").get_by_text("succeeded", exact=True).first).to_be_visible(timeout=JOB_MS)
            job_id = int(page.url.rsplit("/", 1)[1])
            assert not ask(f"{server.url}api/v1/workers")["has_runner"]
            n_labeled = ask(f"{server.url}api/v1/labelings/{job_id}")["counts"]["n_labeled"]
            assert n_labeled > 0
            shown = page.get_by_role("region", name="Counts").get_by_role("definition").first
            expect(shown).to_have_text(str(n_labeled))


@pytest.mark.parametrize(("begin", "disturbances"), ROUNDS, ids=lambda value: getattr(value, "__name__", ""))
def test_it_ends_the_same_although(
    begin: acts.Beginning,
    disturbances: tuple[acts.Disturbance, ...],
    chaos: TeamChaos,
    capsys: pytest.CaptureFixture[str],
):
    said = in_time(lambda: chaos.round(begin, disturbances))
    with capsys.disabled():
        print(f"\nseed {seed_of_commit()}: {said}")


def test_machines_without_a_shared_folder_pass_files_by_a_place(
    chaos: TeamChaos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Two of three die, with what they made of it in folders of their own; a server that has nothing shows it all."""
    with running_team(tmp_path, N_WORKERS, place=tmp_path / "place") as team:
        apart = replace(chaos, team=team, recoveries_s=[])
        deaths = (acts.a_worker_killed_mid_shard, acts.the_jobs_worker_killed)
        said = in_time(lambda: apart.round(acts.asked_for, deaths))
        *_, job_folder = sorted(path.name for path in team.artifacts.iterdir())
        assert len(list(tmp_path.glob(f"machine-*/artifacts/{job_folder}"))) > 1
        with serving(team.featlas) as server:
            (sae,) = ask(f"{server.url}api/v1/saes")
            shown = ask(f"{server.url}api/v1/saes/{sae['uid']}/documents/3?feature=0")
            assert shown["n_tokens"] > 0
            assert ask(f"{server.url}readyz")["checks"]["shared artifacts"] == "ok"
    with capsys.disabled():
        print(f"\n{said}")


def test_a_job_is_done_although_the_broker_never_answers(planted: Planted, tmp_path: Path):
    texts = save_documents(tmp_path / "made.jsonl", made_documents(40))
    spec = ExtractSpec(model=str(planted.model), sae=str(planted.sae), text=(str(texts),), ctx_len=32, null_features=0)
    nobody = {"FEATLAS_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0", "FEATLAS_LEASE_S": "1"}
    featlas = Featlas(tmp_path / "home", nobody)
    url = f"sqlite:///{featlas.home / 'featlas.db'}"
    upgrade(url)
    store = Store.open(url)
    job_id = jobs.enqueue(store, "extraction", spec).id
    with featlas.start("worker") as worker:
        end = time.monotonic() + PATIENCE_S
        while not fetch_job(store, job_id).is_at_rest:
            assert worker.poll() is None
            assert time.monotonic() < end, "nobody takes it"
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=60)
    assert (worker.returncode, fetch_job(store, job_id).state) == (0, JobState.SUCCEEDED)
    assert f"job {job_id} waits although a worker is idle" in said
    store.close()


def test_the_rounds_leave_no_kind_out():
    begun = {acts.asked_for, *(begin for begin, _ in ROUNDS)}
    disturbed = {act for _, several in ROUNDS for act in several} | {acts.the_jobs_worker_killed}  # part of another
    assert (set(BEGINNINGS), set(DISTURBANCES)) == (begun, disturbed)


def test_nothing_is_left_behind(chaos: TeamChaos):
    chaos.team.assert_nothing_left_behind()
