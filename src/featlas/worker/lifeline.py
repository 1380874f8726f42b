"""Ties a process to the one that started it, and says how far it steps back behind others."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent_pid: int) -> None:
    """End this process, by SIGKILL, when its parent ends (on Linux at once, elsewhere at the next heartbeat).

    On Linux the parent's thread that started this process counts as the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    end_without(parent_pid)


def end_without(parent_pid: int | None) -> None:
    """End this process, by SIGKILL, where that is not its parent any more."""
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def step_back(niceness: int) -> None:
    """Let other processes go first, by so much (0 … 19).

    Where Linux shares processors out between sessions, of which a worker is one, the session has to step back too.
    """
    os.nice(niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))
