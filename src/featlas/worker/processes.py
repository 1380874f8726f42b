"""Starts the process of a job: fresh from a command, or forked in no time from one that has the libraries loaded.

To import torch and a model's code takes seconds, which a worker would spend again for every job. Where it may fork, a
server process does that once and nothing else: no thread of a numerical library runs in it, no device is opened, no
database. What it forks is in all else like a fresh process: alone in its session, with its memory its own.
"""

import importlib
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

_LOCK = threading.Lock()
"""multiprocessing looks after all children whenever it starts one, and none of them may be looked after twice."""


class JobProcess(Protocol):
    """A process that was started, with those of the methods of `subprocess.Popen` that a runner needs."""

    @property
    def pid(self) -> int:
        """Its number, that of a process that may have ended."""
        ...

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; raises subprocess.TimeoutExpired where it runs still after so many seconds."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send a signal, to nobody where it has ended."""
        ...


class Processes(Protocol):
    """A way to start the processes of jobs."""

    def start(self, arguments: Sequence[str], log_path: Path) -> JobProcess:
        """Start one, which ends with this process, and whose output is appended to a file in a folder that is there."""
        ...


class FreshProcesses:
    """Starts a command; `env` is its environment, by default this process's."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._command, self._env = tuple(command), env

    def start(self, arguments: Sequence[str], log_path: Path) -> JobProcess:
        """Start one. The thread that calls must live as long as it: on Linux its end kills it."""
        with log_path.open("ab") as log:
            # Its own session, so that Ctrl-C in a terminal reaches us only, and the job is cancelled in order.
            return subprocess.Popen(
                [*self._command, *arguments, "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )


class ForkedProcesses:
    """Forks from a server process that has imported `preload`, and calls `main(arguments)` of `module` in the fork.

    The server ends with the thread that first started or prepared anything, and what it forked ends with the server.

    `fresh` starts processes where this one may not fork (elsewhere than on Linux, system libraries do not survive it)
    or cannot, for want of memory for example; `env` is as there.
    """

    def __init__(
        self, module: str, preload: Sequence[str], fresh: Processes, env: Mapping[str, str] | None = None
    ) -> None:
        self._module, self._preload, self._fresh = module, ["featlas.worker.fork_server", *preload], fresh
        self._env = env
        self._context = multiprocessing.get_context("forkserver")

    def prepare(self) -> None:
        """Begin to import, so that the first job does not have to wait for it."""
        if _may_fork():
            self._context.set_forkserver_preload(self._preload)
            with _LOCK:
                forkserver.ensure_running()

    def wait_until_ready(self) -> None:
        """Prepare, and wait for all to be imported."""
        if _may_fork():
            try:
                self.prepare()
                _Forked(self._context.Process(target=_nothing)).wait()
            except (OSError, EOFError) as error:
                logger.warning("cannot fork processes of jobs (%r); they start anew, in seconds", error)

    def start(self, arguments: Sequence[str], log_path: Path) -> JobProcess:
        """Start one."""
        if _may_fork():
            try:
                self.prepare()
                given = (self._module, [*arguments], log_path, dict(self._env or os.environ))
                return _Forked(self._context.Process(target=_work, args=given))
            except (OSError, EOFError) as error:
                logger.warning("cannot fork the process of a job (%r); it starts anew, in seconds", error)
        return self._fresh.start(arguments, log_path)


def _may_fork() -> bool:
    return sys.platform == "linux"


class _Forked:
    """A process of multiprocessing with the face of `subprocess.Popen`."""

    def __init__(self, process: ForkServerProcess) -> None:
        with _LOCK:
            process.start()
        self._process, self._code = process, None
        self.pid: int = process.pid or 0

    def poll(self) -> int | None:
        with _LOCK:
            if self._code is None:
                self._code = self._process.exitcode
            return self._code

    def wait(self, timeout: float | None = None) -> int:
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


def _nothing() -> None:
    """What the first process does: to have been forked is enough."""


def _work(module: str, arguments: list[str], log_path: Path, environment: dict[str, str]) -> None:
    """What a forked process does: become what a fresh one would be, then the same."""
    os.setsid()
    with log_path.open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(importlib.import_module(module).main([*arguments, "--parent", str(os.getppid())]))
