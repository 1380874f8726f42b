"""How a real server ends, and what it logs meanwhile: requests to their end, streams at once, never a secret."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.command import Featlas
from tests.e2e.serving import Server, serving

PATIENCE_S = 60
CANARY = "sk-canary-0123456789"


def _address(server: Server) -> tuple[str, int]:
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@contextmanager
def request_in_flight(server: Server, body: bytes) -> Iterator[socket.socket]:
    """A request whose body the server waits for: it has said that it wants it."""
    with socket.create_connection(_address(server), timeout=PATIENCE_S) as connection:
        head = (
            "POST /api/v1/jobs HTTP/1.1",
            f"Host: 127.0.0.1:{_address(server)[1]}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Expect: 100-continue",
        )
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        yield connection


def wait_until_refused(server: Server) -> None:
    """Until nobody can connect any more."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(_address(server), timeout=PATIENCE_S).close()
        except OSError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_request_in_flight_is_answered_and_streams_end_with_a_hint(tmp_path: Path):
    body = json.dumps({"kind": "nothing", "spec": {}}).encode()
    with serving(Featlas(tmp_path / "home")) as server:
        stream = urllib.request.urlopen(f"{server.url}api/v1/jobs/stream", timeout=PATIENCE_S)
        with stream, request_in_flight(server, body) as connection:
            server.process.send_signal(signal.SIGTERM)
            told = stream.read().decode()  # it ends although the request is still there
            assert told.endswith("retry: 2000\n\n"), told
            wait_until_refused(server)
            assert server.process.poll() is None
            connection.sendall(body)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 422
            assert "no jobs of kind" in json.load(answer)["detail"]
        started = time.monotonic()
        assert server.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - started < 10
    assert [line for line in server.lines if not line.startswith("Featlas is at")] == []


def test_the_second_signal_ends_it_at_once(tmp_path: Path):
    with serving(Featlas(tmp_path / "home")) as server, request_in_flight(server, b"never sent"):
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(server)
        started = time.monotonic()
        assert server.stop(signal.SIGTERM) == -signal.SIGTERM
        assert time.monotonic() - started < 5


def test_an_end_that_takes_too_long_is_forced():
    script = """
import os, signal, threading
from featlas.entry.ending import ending_in_order
with ending_in_order(within_s=0.3):
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ},
        timeout=PATIENCE_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ended by force" in done.stderr


def test_every_request_is_logged_as_json_without_a_secret(tmp_path: Path):
    secrets = {"OPENAI_API_KEY": CANARY, "FEATLAS_LOG_FORMAT": "json"}
    with serving(Featlas(tmp_path / "home", secrets)) as server:
        for path in (f"api/v1/jobs/7?token={CANARY}", f"{CANARY}/nothing?key={CANARY}", "healthz"):
            request = urllib.request.Request(server.url + path)
            request.add_header("Authorization", f"Bearer {CANARY}")
            request.add_header("Cookie", f"session={CANARY}")
            try:
                urllib.request.urlopen(request, timeout=PATIENCE_S).close()
            except urllib.error.HTTPError as error:
                error.close()
        assert server.stop(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in server.lines if not line.startswith("Featlas is at")]
    asked = [(line["method"], line["route"], line["status"]) for line in lines if line["logger"] == "featlas.access"]
    assert ("GET", "/api/v1/jobs/{job}", 404) in asked
    assert ("GET", "/healthz", 200) in asked
    assert len(asked) == 3
    assert all(line["ms"] > 0 and line["bytes"] > 0 for line in lines if line["logger"] == "featlas.access")
    assert "canary" not in "".join(server.lines)
