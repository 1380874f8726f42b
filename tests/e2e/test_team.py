"""A team of workers over PostgreSQL and Redis gives the result of one process, whatever happens to it."""

from collections.abc import Iterator

import pytest
from tests.e2e import team_chaos as acts
from tests.e2e.chaos import seed_of_commit
from tests.e2e.team_chaos import BEGINNINGS, DISTURBANCES, N_WORKERS, TeamChaos, make_team_chaos
from tests.e2e.teams import Team, TooLate, running_team

from featlas.store.tables import JobShardRow
from featlas.testing.planted_sae import Planted

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


def test_three_workers_publish_what_one_process_does(chaos: TeamChaos):
    job_id = chaos.team.enqueue(chaos.spec)
    chaos.team.wait_for_other(job_id)
    chaos.team.wait_for_end(job_id)
    chaos.team.assert_same(chaos.expected, job_id)
    with chaos.team.opened() as store, store.read() as session:
        shards = session.query(JobShardRow).filter_by(job_id=job_id).all()
    assert len(shards) > N_WORKERS
    assert {1} == {shard.attempt for shard in shards}, "a share was made twice without need"


@pytest.mark.parametrize(("begin", "disturbances"), ROUNDS, ids=lambda value: getattr(value, "__name__", ""))
def test_it_ends_the_same_although(
    begin: acts.Beginning,
    disturbances: tuple[acts.Disturbance, ...],
    chaos: TeamChaos,
    capsys: pytest.CaptureFixture[str],
):
    for _ in range(MOST_TRIES):
        try:
            said = chaos.round(begin, disturbances)
        except TooLate:  # where the machine was quicker than we, the job is over and we begin another
            continue
        with capsys.disabled():
            print(f"\nseed {seed_of_commit()}: {said}")
        return
    pytest.fail(f"every one of {MOST_TRIES} jobs was over before it could be disturbed")


def test_the_rounds_leave_no_kind_out():
    begun = {acts.asked_for, *(begin for begin, _ in ROUNDS)}
    disturbed = {act for _, several in ROUNDS for act in several} | {acts.the_jobs_worker_killed}  # part of another
    assert (set(BEGINNINGS), set(DISTURBANCES)) == (begun, disturbed)


def test_nothing_is_left_behind(chaos: TeamChaos):
    chaos.team.assert_nothing_left_behind()
