"""Celery, and only here: it carries bells from who has a job to a worker that is free, and knows nothing else.

A message says "look at job N". What the job is, who has it, whether it is over and how it ended is the table's to say
(docs/jobs.md), so a message that is lost, late or delivered twice changes nothing but when somebody looks.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery, signals
from kombu.entity import Queue
from kombu.exceptions import ChannelError, KombuError
from kombu.transport import TRANSPORT_ALIASES
from redis.exceptions import RedisError

from featlas import __version__
from featlas.domain import JobState
from featlas.errors import FeatlasError
from featlas.specs import QUEUES
from featlas.store.job_views import fetch_job, find_queued
from featlas.store.lease_owner import Owner
from featlas.store.shards import has_free_shard
from featlas.store.snapshots import remove_orphans
from featlas.store.workers import forget_worker, see_worker
from featlas.worker.local import LocalRunner
from featlas.worker.rounds import Team

logger = logging.getLogger(__name__)

WORK, HELP = "featlas.work", "featlas.help"
MOST_HELPERS = 64
_ANSWER_S = 2.0
_SILENCE_S = 30.0  # longer than the consumer waits for a message at a time
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "featlas.worker.redis_transport:Transport"))
_FAILURES = (KombuError, RedisError, OSError)


def make_app(broker_url: str) -> Celery:
    """A Celery application that keeps no results and acknowledges a message once its task is over."""
    app = Celery("featlas", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_queues=[Queue(_name(queue), routing_key=_name(queue)) for queue in QUEUES],
        task_default_queue=_name("light"),
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # to stop a job is said in its row, where every worker sees it
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=_ANSWER_S,
        broker_transport_options={
            "socket_connect_timeout": _ANSWER_S,
            "socket_timeout": _SILENCE_S,
            "health_check_interval": 10,
        },
    )
    return app


class CeleryDoorbell:
    """Rings by sending messages; see `worker.rounds.Doorbell`. May be used by several threads."""

    def __init__(self, broker_url: str) -> None:
        self.app = make_app(broker_url)

    def ring(self, job_id: int, queue: str) -> bool:
        """Send the bell of a job."""
        return self._send(WORK, job_id, queue)

    def call_others(self, job_id: int, n: int) -> None:
        """Send as many bells as shares wait; a worker that finds none left goes its way."""
        for _ in range(min(n, MOST_HELPERS)):
            if not self._send(HELP, job_id, "extraction"):
                return

    def count_bells(self, queue: str) -> int | None:
        """Ask the broker for the length of a queue."""
        try:
            with self.app.connection_for_read(connect_timeout=_ANSWER_S) as connection:
                connection.ensure_connection(max_retries=1, timeout=_ANSWER_S)
                try:
                    return connection.default_channel.queue_declare(_name(queue), passive=True).message_count
                except ChannelError:
                    return 0  # a queue without messages is not there
        except _FAILURES as error:
            logger.warning("the broker does not answer: %s", error)
            return None

    def _send(self, task: str, job_id: int, queue: str) -> bool:
        policy = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.2}
        try:
            self.app.send_task(task, (job_id,), queue=_name(queue), retry=True, retry_policy=policy)
        except _FAILURES as error:
            logger.warning("could not ring for job %d: %s; the next round will", job_id, error)
            return False
        return True


def run_worker(
    team: Team, doorbell: CeleryDoorbell, runner: LocalRunner, queues: Sequence[str], concurrency: int
) -> None:
    """Take what is rung for in these queues until SIGINT or SIGTERM, `concurrency` jobs at a time, each in a process
    of its own; what runs at the end is handed back to the queue for another worker.
    """
    stop = threading.Event()
    remove_orphans(team.store)
    hands = _Hands(team, runner, queues, concurrency, stop)
    doorbell.app.task(name=WORK)(hands.work)
    doorbell.app.task(name=HELP)(hands.help_with)
    signals.setup_logging.connect(_leave_logging_alone, weak=False)
    on_shutdown = _call(stop.set)
    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    me = Owner.of_this_process()

    def look_around() -> None:
        see_worker(team.store, me, queues, __version__)
        hands.take_overdue()

    rounds = threading.Thread(target=team.make_rounds, args=(stop, look_around), name="rounds")
    rounds.start()
    try:
        doorbell.app.Worker(
            pool="threads",
            concurrency=concurrency,
            queues=[_name(queue) for queue in queues],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        ).start()
    finally:
        stop.set()
        rounds.join()
        hands.join()
        forget_worker(team.store, me)


class _Hands:
    """What one worker does: as many jobs at a time as it may, for a bell or because nobody came for one."""

    def __init__(
        self, team: Team, runner: LocalRunner, queues: Sequence[str], concurrency: int, stop: threading.Event
    ) -> None:
        self._team, self._runner, self._queues, self._stop = team, runner, queues, stop
        self._free = threading.Semaphore(concurrency)
        self._without_bell: list[threading.Thread] = []

    def work(self, job_id: int) -> None:
        """Do a job, if it still waits."""
        with self._free:
            self._work(job_id)

    def help_with(self, job_id: int) -> None:
        """Help with a job, if there is something to help with."""
        with self._free:
            if not self._stop.is_set() and has_free_shard(self._team.store, job_id):
                self._runner.help(job_id, self._stop)

    def take_overdue(self) -> None:
        """Begin a job that has waited for two leases, while this worker is idle: its bell does not come through."""
        if self._stop.is_set() or not self._free.acquire(blocking=False):
            return
        job = find_queued(self._team.store, self._queues, waited_s=2 * self._team.lease_s)
        if job is None:
            self._free.release()
            return
        logger.warning("job %d waits although a worker is idle; it is begun without the broker", job.id)
        thread = threading.Thread(target=self._work_without_bell, args=(job.id,), name=f"job-{job.id}")
        self._without_bell.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait for what was begun without a bell to be handed back."""
        for thread in self._without_bell:
            thread.join()

    def _work_without_bell(self, job_id: int) -> None:
        try:
            self._work(job_id)
        except FeatlasError as error:
            logger.warning("job %d was left: %s", job_id, error)
        finally:
            self._free.release()

    def _work(self, job_id: int) -> None:
        if self._stop.is_set():
            return
        _say_skew(fetch_job(self._team.store, job_id).code_version, job_id)
        done = self._runner.take(job_id, self._stop)
        if done is not None and done.state is JobState.QUEUED:
            self._team.wake(job_id, done.queue)


def _say_skew(version: str | None, job_id: int) -> None:
    if version != __version__:
        logger.warning("job %d was asked for by Featlas %s; this worker is %s", job_id, version, __version__)


def _name(queue: str) -> str:
    """What a queue is called in the broker, which others may use too."""
    return f"featlas.{queue}"


def _call(act: Callable[[], None]) -> Callable[..., None]:
    return lambda **_: act()


def _leave_logging_alone(**_: Any) -> None:
    """Celery sets logging up only where nobody listens to this signal."""
