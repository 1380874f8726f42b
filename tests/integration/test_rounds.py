"""The bell over a real Redis, and the rounds that make good what it lost."""

import threading
from collections.abc import Callable, Iterator

import pytest
from kombu.message import Message
from redis.exceptions import RedisError
from tests.redis_server import RedisServer, running_redis
from tests.unit.store.test_jobs import CountSpec

from featlas.domain import JobState
from featlas.store import jobs
from featlas.store.job_views import fetch_job, list_events
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.worker.celery_app import MOST_HELPERS, CeleryDoorbell
from featlas.worker.rounds import Team

ME = Owner.of_this_process()
DEAD = Owner(ME.host, ME.pid, ME.started_s - 1000)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """One's own, because it is stopped and its messages are counted."""
    with running_redis() as server:
        yield server


@pytest.fixture
def team(store: Store, redis: RedisServer) -> Team:
    return Team(store, CeleryDoorbell(redis.url), 3.0)


@pytest.fixture
def dialect() -> str:
    """The table's part is tested on both databases with the store."""
    return "sqlite"


def _enqueue(team: Team) -> int:
    return jobs.enqueue(team.store, "count", CountSpec()).id


def test_bells_lie_in_the_queue_of_the_job(team: Team):
    assert [0, 0] == [team.doorbell.count_bells(queue) for queue in ("light", "extraction")]
    job_id = _enqueue(team)
    team.wake(job_id, "light")
    team.doorbell.call_others(job_id, 3)
    assert [1, 3] == [team.doorbell.count_bells(queue) for queue in ("light", "extraction")]
    team.doorbell.call_others(job_id, 10 * MOST_HELPERS)
    assert 3 + MOST_HELPERS == team.doorbell.count_bells("extraction")


def test_a_round_rings_for_what_waits_without_a_bell(team: Team, redis: RedisServer):
    _enqueue(team)
    team.make_round()
    team.make_round()
    assert 1 == team.doorbell.count_bells("light")
    redis.stop()
    redis.start()
    assert 0 == team.doorbell.count_bells("light")
    with team.store.write() as session:  # as if the last bell were older
        session.execute(jobs.update(jobs.JobRow).values(rung_at=None))
    team.make_round()
    assert 1 == team.doorbell.count_bells("light")


def test_a_broker_that_is_away_harms_nobody(team: Team, redis: RedisServer):
    redis.stop()
    job_id = _enqueue(team)
    team.wake(job_id, "light")
    team.make_round()
    assert team.doorbell.count_bells("light") is None
    redis.start()
    team.make_round()
    assert 1 == team.doorbell.count_bells("light")


def test_a_round_takes_a_dead_workers_job_back_and_rings(team: Team):
    job_id = _enqueue(team)
    jobs.claim(team.store, DEAD, 60, job_id=job_id)
    team.make_round()
    assert (JobState.QUEUED, 2) == (fetch_job(team.store, job_id).state, fetch_job(team.store, job_id).attempt)
    assert "lost" == list_events(team.store, job_id)[-1].kind
    assert 1 == team.doorbell.count_bells("light")


def test_rounds_go_on_until_they_are_stopped(team: Team):
    stop, n_made = threading.Event(), []

    def also() -> None:
        n_made.append(1)
        if len(n_made) == 2:
            stop.set()

    team.make_rounds(stop, also)
    assert 2 == len(n_made)


@pytest.mark.parametrize("say", [Message.ack, Message.requeue, Message.reject])
def test_a_bell_that_cannot_be_acknowledged_does_not_keep_others_away(
    redis: RedisServer, say: Callable[[Message], None]
):
    connection = CeleryDoorbell(redis.url).app.connection_for_read()
    channel = connection.channel()
    channel.basic_qos(0, 1, False)
    queue = connection.SimpleQueue("featlas.test", channel=channel)
    queue.put("look at job 1")
    message = queue.get(timeout=5)
    assert not channel.qos.can_consume()
    redis.stop()
    with pytest.raises(RedisError):
        say(message)
    redis.start()
    assert channel.qos.can_consume()
    connection.collect()
