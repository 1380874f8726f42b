"""Who holds a job: a process, named so that any process on the same host can tell whether it still lives."""

import os
import socket
from dataclasses import dataclass

import psutil

from featlas.errors import InputError

# Creation times are derived from the wall clock, which may be adjusted a little in between.
_SAME_START_S = 2.0


@dataclass(frozen=True)
class Owner:
    """A process by host, pid and start (seconds since 1970), because pids are used again."""

    host: str
    pid: int
    started_s: float

    @classmethod
    def of_this_process(cls) -> "Owner":
        """The process that calls."""
        return cls(_this_host(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """Read what `str` wrote into a job row; raises InputError for anything else."""
        host, _, rest = text.rpartition("#")
        pid, _, started = rest.partition("@")
        try:
            return cls(host, int(pid), float(started))
        except ValueError as error:
            raise InputError(f"{text!r} names no process; expected host#pid@start") from error

    def __str__(self) -> str:
        return f"{self.host}#{self.pid}@{self.started_s:.2f}"

    @property
    def is_on_this_host(self) -> bool:
        """Whether its pid means something here."""
        return self.host == _this_host()

    @property
    def is_descendant_of_this_process(self) -> bool:
        """Whether the process that calls started it, or one between did."""
        try:
            return self.is_on_this_host and os.getpid() in {one.pid for one in psutil.Process(self.pid).parents()}
        except psutil.NoSuchProcess:
            return False

    @property
    def is_known_dead(self) -> bool:
        """Whether it certainly ended: on this host, and no process of its pid and start runs. Zombies are dead."""
        if not self.is_on_this_host:
            return False
        try:
            found = psutil.Process(self.pid)
            is_same = abs(found.create_time() - self.started_s) <= _SAME_START_S
            return not is_same or found.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


def _this_host() -> str:
    """Host name and, on Linux, the pid namespace: containers may share a name and not their pids."""
    name = socket.gethostname()[:150]
    try:
        return f"{name}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return name
