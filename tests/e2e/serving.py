"""The real server in a process of its own, from the installed wheel, as a person starts it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.command import Featlas

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 120
_ADDRESS = re.compile(r"Featlas is at (http://\S+)")


@dataclass
class Server:
    """A server that answers, where it is, and what it has written to stderr."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str] = field(default_factory=list)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, whose page must be built; the folder receives it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    constraints = ["--build-constraint", "constraints.txt"]
    subprocess.run([*command, *constraints, "--wheel-dir", str(folder), "."], cwd=REPOSITORY, check=True)
    (wheel,) = folder.glob("featlas-*.whl")
    return wheel


def install_wheel(wheel: Path, folder: Path) -> Path:
    """The wheel's content as an importable folder, on top of the libraries that are there."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", str(folder), str(wheel)], check=True)
    return folder


@contextmanager
def serving(featlas: Featlas, *arguments: object, package: Path | None = None) -> Iterator[Server]:
    """`featlas serve` on a free port until the block ends; `package` is where Featlas itself is imported from."""
    environment = featlas.environment()
    if package is not None:
        environment["PYTHONPATH"] = str(package)
    command = [sys.executable, "-m", "featlas.cli.main", "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=os.path.abspath(os.sep),  # not the checkout, from which Python would import
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server = Server(process, "")
    is_ready = threading.Event()
    reader = threading.Thread(target=_read_lines, args=(server, is_ready), daemon=True)
    reader.start()
    try:
        assert is_ready.wait(PATIENCE_S), server.lines
        assert server.url, server.lines
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(PATIENCE_S)
        assert process.stderr is not None
        process.stderr.close()


def _read_lines(server: Server, is_ready: threading.Event) -> None:
    assert server.process.stderr is not None
    for line in server.process.stderr:
        server.lines.append(line)
        found = _ADDRESS.search(line)
        if found:
            server.url = found.group(1)
            is_ready.set()
    is_ready.set()
