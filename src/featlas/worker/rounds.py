"""The periodic pass that makes good what the broker lost: dead workers' jobs go back, bells ring again.

Every worker and every server of a team makes it. Two at once do no harm: a job is taken back by one of them, and marked
as rung for in the transaction that chooses it.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from featlas.errors import ExternalError
from featlas.specs import QUEUES
from featlas.store import jobs
from featlas.store.session import Store

logger = logging.getLogger(__name__)

QUIET_S = 5.0
"""A bell younger than this may be in the hand of a worker that is starting the job."""


class Doorbell(Protocol):
    """Tells workers that there is something to do; what it loses, the next round makes good."""

    def ring(self, job_id: int, queue: str) -> bool:
        """Ring for a queued job; False where the broker does not answer."""
        ...

    def call_others(self, job_id: int, n: int) -> None:
        """Ring for up to `n` helpers of a running job; nothing where the broker does not answer."""
        ...

    def count_bells(self, queue: str) -> int | None:
        """How many bells lie in a queue; None where the broker does not answer."""
        ...


@dataclass(frozen=True)
class Team:
    """A store that several machines share, and the bell between them."""

    store: Store
    doorbell: Doorbell
    lease_s: float

    def wake(self, job_id: int, queue: str) -> None:
        """Ring for a job that was just queued."""
        if self.doorbell.ring(job_id, queue):
            jobs.note_ring(self.store, job_id)

    def make_round(self) -> None:
        """Take back what dead workers held, and ring for what waits without a bell."""
        for job in jobs.reconcile(self.store):
            logger.warning("job %d lost its worker %s and goes back to the queue", job.id, job.lease_owner or "")
        counted = {queue: self.doorbell.count_bells(queue) for queue in QUEUES}
        n_bells = {queue: n for queue, n in counted.items() if n is not None}
        for job_id, queue in jobs.choose_rings(self.store, n_bells, quiet_s=QUIET_S):
            self.doorbell.ring(job_id, queue)

    def make_rounds(self, stop: threading.Event, also: Callable[[], None] = lambda: None) -> None:
        """Make a round now and three times per lease until `stop`, and `also` with each; it outlives failures."""
        while True:
            try:
                also()
                self.make_round()
            except ExternalError as error:
                logger.warning("a round failed and is made again: %s", error)
            except Exception:  # the thread's boundary: without rounds nothing that the broker loses is made good
                logger.exception("a round failed and is made again")
            if stop.wait(max(0.2, self.lease_s / 3)):
                return
