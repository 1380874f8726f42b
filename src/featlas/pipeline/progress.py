"""How a use case says how far it is and asks whether it should stop, without knowing who listens."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from featlas.errors import JobCancelled, JobHandedBack, JobPaused

WINDOW_S = 60.0
"""Rates and times left are taken over the last minute."""

_SAMPLE_EVERY_S = 0.5


class Progress(Protocol):
    """Told by a use case where it is."""

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        """A new phase begins: `total` units of work where that is known, else None; `done`: before a resume."""
        ...

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more units are done; `figures` are shown as they are, the last value of each name."""
        ...


class Stop(Protocol):
    """Asked by a use case, at every point where stopping loses little."""

    def check(self) -> None:
        """Raises JobCancelled or JobPaused where the job was asked to stop, ConflictError where it was taken over."""
        ...


class NoProgress:
    """For callers who do not want to know."""

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        """Nothing."""

    def advance(self, n: int = 1, **figures: float) -> None:
        """Nothing."""


class NeverStop:
    """For callers who wait to the end."""

    def check(self) -> None:
        """Nothing."""


class StopFlag:
    """Stops when told to, from any thread; the first word counts."""

    def __init__(self) -> None:
        self._reason: Exception | None = None

    def stop(self, reason: Exception) -> None:
        """Let the next check raise this."""
        self._reason = self._reason or reason

    def cancel(self) -> None:
        """Ask for the end of the job."""
        self.stop(JobCancelled("the job was cancelled; resume it to go on from what is done"))

    def hand_back(self) -> None:
        """Ask for the end of this worker's part; another goes on."""
        self.stop(JobHandedBack("the job was handed back; another worker goes on from what is done"))

    def pause(self) -> None:
        """Ask for a break."""
        self.stop(JobPaused("the job was paused; resume it to go on from what is done"))

    def check(self) -> None:
        """Raise the reason to stop, if there is one."""
        if self._reason is not None:
            raise self._reason


class Meter:
    """Progress as numbers in memory: one thread advances, any other takes a snapshot."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._phases: list[dict[str, Any]] = []
        self._start("", None, "", 0)

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        """End the phase before, if any, and begin this one; rates do not count what was done before it."""
        with self._lock:
            if self._name:
                self._phases.append(self._ended())
            self._start(name, total, unit, done)

    def advance(self, n: int = 1, **figures: float) -> None:
        """Count `n` units more."""
        with self._lock:
            self._done += int(n)
            # Plain floats, and no NaN: a job row holds JSON.
            self._figures.update(
                {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
            )
            now = self._clock()
            if now - self._samples[-1][0] >= _SAMPLE_EVERY_S:
                self._samples.append((now, self._done))
                while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW_S:
                    self._samples.popleft()

    def snapshot(self) -> dict[str, Any]:
        """What a job row holds, ready for JSON.

        phase, unit, done, total (or None), elapsed_s, rate (units per second over the last minute, or None), eta_s
        (seconds left of this phase, or None), figures, and `phases`: those that ended, each with unit, done, elapsed_s
        and its mean rate or None.
        """
        with self._lock:
            rate = self._rate()
            is_known = rate is not None and rate > 0 and self._total is not None
            eta_s = max(0, (self._total or 0) - self._done) / (rate or 1) if is_known else None
            return {
                "phase": self._name,
                "unit": self._unit,
                "done": self._done,
                "total": self._total,
                "elapsed_s": round(self._elapsed_s(), 3),
                "rate": rate,
                "eta_s": eta_s,
                "figures": dict(self._figures),
                "phases": [dict(phase) for phase in self._phases],
            }

    def _start(self, name: str, total: int | None, unit: str, done: int) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._done = self._done_before = int(done)
        self._figures: dict[str, float | None] = {}
        self._samples: deque[tuple[float, int]] = deque([(self._clock(), self._done)])
        self._started = self._samples[0][0]

    def _ended(self) -> dict[str, Any]:
        elapsed, n = self._elapsed_s(), self._done - self._done_before
        rate = n / elapsed if n > 0 and elapsed > 0 else None
        return {
            "phase": self._name,
            "unit": self._unit,
            "done": self._done,
            "elapsed_s": round(elapsed, 3),
            "rate": rate,
        }

    def _elapsed_s(self) -> float:
        return self._clock() - self._started

    def _rate(self) -> float | None:
        start, done = self._samples[0]
        elapsed = self._clock() - start
        return (self._done - done) / elapsed if elapsed > 0 and self._done > done else None
