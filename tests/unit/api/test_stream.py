"""Event streams from a real server, since what matters is that other requests go on beside them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn

from featlas.api import events
from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.entry.web import bind
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.session import Store

SPEC = ExtractSpec(model="m", sae="s", text=("t",))
PATIENCE_S = 60


@pytest.fixture
def url(store: Store, tmp_path: Path) -> Iterator[str]:
    here = Surroundings(store, tmp_path, {"extraction": ExtractSpec}, lambda _job: None, has_runner=False, version="9")
    with bind("127.0.0.1", 0) as bound:
        server = uvicorn.Server(
            uvicorn.Config(create_app(here, ui=tmp_path), log_level="warning", timeout_graceful_shutdown=2)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/api/v1"
        server.should_exit = True
        thread.join()


@contextmanager
def listening(url: str, **headers: str) -> Iterator[Iterator[dict]]:
    """The messages of a stream, each with its event, id and data."""
    with httpx2.stream("GET", url, headers=headers, timeout=PATIENCE_S) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read_messages(answer)


def read_messages(answer: httpx2.Response) -> Iterator[dict]:
    message: dict = {}
    for line in answer.iter_lines():
        if not line and message:
            yield message
            message = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            message[name] = json.loads(value) if name == "data" else value


def test_a_job_tells_its_past_and_then_what_happens(url: str, store: Store):
    job = jobs.enqueue(store, "extraction", SPEC)
    with listening(f"{url}/jobs/{job.id}/stream") as messages:
        first, past = next(messages), next(messages)
        assert (first["event"], first["data"]["state"]) == ("job", "queued")
        assert (past["event"], past["id"], past["data"]["kind"]) == ("event", "1", "queued")
        jobs.request_cancel(store, job.id)
        told = [next(messages), next(messages)]
    assert {message["event"] for message in told} == {"job", "event"}
    by_event = {message["event"]: message for message in told}
    assert by_event["job"]["data"]["state"] == "cancelled"
    assert (by_event["event"]["id"], by_event["event"]["data"]["kind"]) == ("2", "cancelled")


def test_a_browser_that_comes_back_hears_only_what_it_missed(url: str, store: Store):
    job = jobs.enqueue(store, "extraction", SPEC)
    jobs.request_cancel(store, job.id)
    jobs.resume(store, job.id)
    with listening(f"{url}/jobs/{job.id}/stream", **{"Last-Event-ID": "2"}) as messages:
        assert next(messages)["event"] == "job"
        missed = next(messages)
    assert (missed["id"], missed["data"]["kind"]) == ("3", "resumed")


def test_nothing_is_told_twice_to_those_who_come_later(url: str, store: Store):
    job = jobs.enqueue(store, "extraction", SPEC)
    with ExitStack() as stack:
        early = stack.enter_context(listening(f"{url}/jobs/{job.id}/stream"))
        next(early), next(early)
        jobs.request_cancel(store, job.id)
        late = stack.enter_context(listening(f"{url}/jobs/{job.id}/stream"))
        assert sorted(message["event"] for message in (next(early), next(early))) == ["event", "job"]
        heard = [next(late) for _ in range(3)]
        jobs.resume(store, job.id)
        while heard[-1].get("id") != "3":
            heard.append(next(late))
    assert [message["id"] for message in heard if message["event"] == "event"] == ["1", "2", "3"]


def test_the_stream_of_all_jobs_tells_of_new_ones(url: str, store: Store):
    old = jobs.enqueue(store, "extraction", SPEC)
    with listening(f"{url}/jobs/stream") as messages:
        assert next(messages)["data"]["id"] == old.id
        time.sleep(2 * events.BEAT_S)
        new = jobs.enqueue(store, "extraction", SPEC)
        assert next(messages)["data"]["id"] == new.id


def test_the_first_job_of_all_is_told_too(url: str, store: Store):
    heard: list[dict] = []
    with listening(f"{url}/jobs/stream") as messages:
        thread = threading.Thread(target=lambda: heard.append(next(messages)))
        thread.start()
        time.sleep(2 * events.BEAT_S)
        job = jobs.enqueue(store, "extraction", SPEC)
        thread.join(PATIENCE_S)
    assert [message["data"]["id"] for message in heard] == [job.id]


def test_an_unknown_job_has_no_stream(url: str):
    answer = httpx2.get(f"{url}/jobs/77/stream", timeout=PATIENCE_S)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_many_watchers_ask_the_database_as_often_as_one(url: str, store: Store, monkeypatch: pytest.MonkeyPatch):
    n_asked = 0
    list_jobs = events.list_jobs

    def counted(*args, **options):
        nonlocal n_asked
        n_asked += 1
        return list_jobs(*args, **options)

    job = jobs.enqueue(store, "extraction", SPEC)
    with ExitStack() as stack:
        # Held in a list: a stream that nobody refers to is closed.
        watchers = [stack.enter_context(listening(f"{url}/jobs/{job.id}/stream")) for _ in range(40)]
        assert [next(messages)["event"] for messages in watchers] == ["job"] * 40
        monkeypatch.setattr(events, "list_jobs", counted)
        started = time.monotonic()
        time.sleep(3)
        n_beats = (time.monotonic() - started) / events.BEAT_S
        assert 2 <= n_asked <= 2 * (n_beats + 1)
        assert httpx2.get(f"{url}/jobs/{job.id}", timeout=PATIENCE_S).status_code == 200
