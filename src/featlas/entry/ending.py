"""How a server ends: in order at the first signal, by force when that takes too long, at once at the second signal."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import uvicorn

logger = logging.getLogger(__name__)

GRACE_S = 10
"""How long requests in flight may take to their end."""
END_WITHIN_S = 40
"""How long all of it may take: a job that is handed back may wait half a minute for answers that are paid for. What
watches over the server must wait longer before it kills."""


@contextmanager
def ending_in_order(within_s: float = END_WITHIN_S) -> Iterator[threading.Event]:
    """Let SIGINT and SIGTERM set the event that is yielded, until the block ends; a second one ends the process."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # Python hands signals to the main thread only
        return
    by_force = threading.Timer(within_s, _end_by_force, (within_s,))
    by_force.daemon = True

    def hear(number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        asked.set()
        by_force.start()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        by_force.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_by_force(within_s: float) -> None:
    """Something hangs, a database for example; its threads cannot be ended otherwise."""
    logger.error("not ended within %.0f s after the signal; ended by force", within_s)
    os._exit(1)


class Server(uvicorn.Server):
    """Ends when it is asked to by an event, and lets event streams go before it waits for requests in flight."""

    def __init__(self, config: uvicorn.Config, asked: threading.Event, let_streams_go: Callable[[], None]) -> None:
        super().__init__(config)
        self._asked, self._let_streams_go = asked, let_streams_go

    def capture_signals(self) -> AbstractContextManager[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Leave them to `ending_in_order`."""
        return contextlib.nullcontext()

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to end."""
        self.should_exit = self.should_exit or self._asked.is_set()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections and wait for those that there are."""
        self._let_streams_go()
        await super().shutdown(sockets)
