"""Bodies that are too long, by what they say and by what comes; and streams that are too many, on a real server."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.builders.doors import CLOSED, bearer, client_of, make_app, served_on_a_port

from featlas.api.door import Door
from featlas.store import access
from featlas.store.session import Store

PATIENCE_S = 60
MAX_BYTES = 2000


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture
def url(store: Store, tmp_path: Path) -> Iterator[str]:
    door = replace(CLOSED, max_body_bytes=MAX_BYTES, max_streams=5, max_streams_each=3)
    with served_on_a_port(make_app(store, tmp_path, door)) as started:
        yield started


@pytest.fixture
def token(store: Store) -> dict[str, str]:
    return bearer(access.create_token(store, "one")[1])


def wording(n_bytes: int) -> bytes:
    """A body of so many bytes that is in order otherwise."""
    empty = {"system_text": "", "user_text": "", "evidence": {}}
    return json.dumps(empty | {"user_text": "x" * (n_bytes - len(json.dumps(empty)))}).encode()


def in_pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 500):
        yield body[start : start + 500]


@pytest.mark.parametrize("send", [bytes, in_pieces], ids=["with its length", "in chunks"])
def test_a_body_over_the_limit_is_refused_and_one_below_is_read(url: str, token: dict[str, str], send):
    for n_bytes, status in ((MAX_BYTES, 200), (MAX_BYTES + 1, 413), (10 * MAX_BYTES, 413)):
        headers = token | {"Content-Type": "application/json"}
        answer = httpx2.post(f"{url}/api/v1/templates/validate", content=send(wording(n_bytes)), headers=headers)
        assert answer.status_code == status, answer.text
        if status == 413:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "FEATLAS_MAX_BODY_BYTES" in answer.json()["detail"]


def first_line(url: str, request: bytes) -> str:
    """What a server answers to bytes, whole or not; empty where it hangs up."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(request)
            return connection.recv(1000).decode().split("\r\n")[0]
        except ConnectionError:
            return ""


@pytest.mark.parametrize("length", [10**30, 2**63, MAX_BYTES + 1])
def test_a_length_is_believed_before_anything_comes(url: str, token: dict[str, str], length: int):
    head = f"POST /api/v1/jobs/1/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
    line = first_line(url, f"{head}Authorization: {token['Authorization']}\r\n\r\n".encode())
    assert line.startswith(("HTTP/1.1 413", "HTTP/1.1 400")), line


@pytest.mark.parametrize("more", [b"", b"X-One: " + b"x" * 100 + b"\r\n"], ids=["a long query", "many headers"])
def test_a_head_that_is_too_long_is_cut_off(url: str, more: bytes):
    query = b"" if more else b"?code=" + b"x" * 500_000
    request = b"GET /login" + query + b" HTTP/1.1\r\nHost: localhost\r\n" + more * 5000
    assert first_line(url, request) in ("HTTP/1.1 400 Bad Request", "")  # before the head has an end


def test_nobody_without_a_token_gets_a_body_read(url: str):
    answer = httpx2.post(f"{url}/api/v1/templates/validate", content=in_pieces(wording(10 * MAX_BYTES)))
    assert answer.status_code == 401


def test_streams_have_a_number_of_places_in_all_and_for_each_token(url: str, store: Store, token: dict[str, str]):
    tokens = [token, *(bearer(access.create_token(store, name)[1]) for name in ("two", "three"))]

    def opened(held: ExitStack, headers: dict[str, str]) -> httpx2.Response:
        stream = httpx2.stream("GET", f"{url}/api/v1/jobs/stream", headers=headers, timeout=PATIENCE_S)
        return held.enter_context(stream)

    with ExitStack() as all_held:
        with ExitStack() as held:
            assert [opened(held, tokens[0]).status_code for _ in range(3)] == [200] * 3
            refused = opened(held, tokens[0])
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "15")
            assert "3 with one token" in json.loads(refused.read())["detail"]
            assert [opened(all_held, tokens[1]).status_code for _ in range(2)] == [200] * 2
            refused = opened(held, tokens[2])
            assert (refused.status_code, "5 in all" in json.loads(refused.read())["detail"]) == (429, True)
            assert httpx2.get(f"{url}/api/v1/runs", headers=tokens[0], timeout=PATIENCE_S).status_code == 200
        for _ in range(100):  # the server sees that they are gone when it next looks
            answer = opened(all_held, tokens[2])
            if answer.status_code == 200:
                break
        assert answer.status_code == 200


def test_a_stream_ends_when_its_token_is_revoked(url: str, store: Store, token: dict[str, str]):
    from featlas.specs import ExtractSpec
    from featlas.store import jobs

    with httpx2.stream("GET", f"{url}/api/v1/jobs/stream", headers=token, timeout=PATIENCE_S) as answer:
        lines = answer.iter_lines()
        jobs.enqueue(store, "extraction", ExtractSpec(model="m", sae="s", text=("t",)))
        assert next(lines).startswith("event")
        access.revoke(store, "one")
        last = jobs.enqueue(store, "extraction", ExtractSpec(model="m", sae="s", text=("later",)))
        rest = list(lines)  # ends, because the server ends it
    assert f'"id":{last.id},' not in "".join(rest)


def test_at_home_bodies_have_a_limit_too(store: Store, tmp_path: Path):
    client = client_of(make_app(store, tmp_path, Door(max_body_bytes=MAX_BYTES)))
    answer = client.post("/api/v1/templates/validate", content=wording(MAX_BYTES + 1))
    assert answer.status_code == 413
