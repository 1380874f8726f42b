"""Asks what may hang, a database or a disk, without hanging with it: in a thread of its own, one question at a time.

The pool of threads in which endpoints run is of no use for that: where the database hangs, all of them do.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from featlas.errors import ExternalError, FeatlasError

GIVEN_UP_AFTER_S = 30.0
"""A question unanswered for so long is asked anew; the thread that waits for it is left alone."""

Answer = TypeVar("Answer")


class Patient(Generic[Answer]):
    """A question whose last answer counts for `keep_s` seconds, however many ask, and whose asking takes no turn."""

    def __init__(self, ask: Callable[[], Answer], *, keep_s: float) -> None:
        self._ask, self._keep_s = ask, keep_s
        self._future: Future[Answer] | None = None
        self._asked_at = 0.0

    async def answer(self, limit_s: float) -> Answer:
        """The answer, or the FeatlasError that asking raised; raises TimeoutError where there is none in time."""
        return await asyncio.wait_for(asyncio.wrap_future(self._current()), limit_s)

    def _current(self) -> "Future[Answer]":
        now, future = time.monotonic(), self._future
        good_for_s = GIVEN_UP_AFTER_S if future is not None and not future.done() else self._keep_s
        if future is None or now - self._asked_at > good_for_s:
            future = self._future = Future()
            future.set_running_or_notify_cancel()  # from now on a waiter who leaves cannot cancel it for the others
            self._asked_at = now
            threading.Thread(target=self._run, args=(future,), name="patient", daemon=True).start()
        return future

    def _run(self, future: "Future[Answer]") -> None:
        try:
            future.set_result(self._ask())
        except FeatlasError as error:
            future.set_exception(error)
        finally:
            if not future.done():  # a mistake of ours, whose traceback goes to stderr
                future.set_exception(ExternalError("the question could not be asked"))
