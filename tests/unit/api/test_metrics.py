"""/metrics: what is counted, under which names, and that no client can add series at will."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from tests.builders.served import served_app

from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.database import make_engine, parse_url
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.tables import JobRow, utc_now
from featlas.store.workers import see_worker

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
SPEC = ExtractSpec(model="m", sae="s", text=("t",))


def _samples(text: str) -> Samples:
    """All samples by name and labels; reading them is also the check of the format."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    samples = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in found}
    assert len(samples) == len(found), "a series is there twice"
    return samples


@pytest.fixture
def client(store: Store, tmp_path: Path) -> Iterator[TestClient]:
    here = Surroundings(store, tmp_path, {}, lambda _job: None, False, "9.9")
    with TestClient(create_app(here, ui=tmp_path), base_url="http://localhost") as made:
        yield made


def _scraped(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return _samples(answer.text)


def test_requests_are_counted_and_timed_by_route(client: TestClient):
    for number in (1, 2, 3):
        client.get(f"/api/v1/jobs/{number}?token=hidden")
    client.post("/api/v1/jobs", json={"kind": "nothing", "spec": {}})
    found = _scraped(client)
    route = ("route", "/api/v1/jobs/{job}")
    assert found["featlas_http_requests_total", (("method", "GET"), route, ("status", "404"))] == 3
    assert found["featlas_http_request_seconds_count", (("method", "GET"), route)] == 3
    refused = (("method", "POST"), ("route", "/api/v1/jobs"), ("status", "422"))
    assert found["featlas_http_requests_total", refused] == 1


def test_no_client_adds_series_at_will(client: TestClient):
    def ask(name: str) -> None:
        for path in (
            f"/{name}",
            f"/api/v1/{name}",
            f"/s/{name}/features",
            f"/api/v1/saes/{name}/features",
            f"/{name}/a/b",
        ):
            client.get(path)
            client.request(name.upper(), path)
        client.get("/api/v1/runs", headers={"Host": f"{name}.example"})
        client.get("/healthz")

    ask("first")
    n_series = len(_scraped(client))
    for number in range(20):
        ask(f"other{number}")
    found = _scraped(client)
    # The scrape before is a series too by now.
    assert len(found) - n_series <= 2 + 3 + 12
    assert "other" not in {value for _, labels in found for name, value in labels if name == "route"}
    assert not any("other1" in value for _, labels in found for _, value in labels)


def test_figures_of_the_store_are_those_of_the_database(client: TestClient, store: Store):
    job = jobs.enqueue(store, "extraction", SPEC)
    with store.write() as session:
        session.execute(update(JobRow).values(queued_at=utc_now() - dt.timedelta(minutes=5)))
    jobs.claim(store, Owner("gone", 1, 0.0), -1, job_id=jobs.enqueue(store, "labeling", SPEC).id)
    see_worker(store, Owner.of_this_process(), ["extraction"], "9.9")
    found = _scraped(client)
    assert found["featlas_database_up", ()] == 1
    assert found["featlas_jobs", (("kind", "extraction"), ("state", "queued"))] == 1
    assert found["featlas_jobs", (("kind", "labeling"), ("state", "running"))] == 1
    assert found["featlas_queue_oldest_seconds", (("queue", job.queue),)] == pytest.approx(300, abs=60)
    assert found["featlas_jobs_silent", ()] == 1
    assert found["featlas_workers", (("queue", "extraction"), ("version", "9.9"))] == 1
    assert found["featlas_labeling_tokens_total", (("direction", "in"),)] == 0
    assert found["featlas_labeling_usd_total", ()] == 0
    assert found["featlas_build_info", (("version", "9.9"),)] == 1


def test_two_scrapes_in_a_row_ask_the_database_once(client: TestClient, store: Store):
    before = _scraped(client)
    jobs.enqueue(store, "extraction", SPEC)
    key = ("featlas_jobs", (("kind", "extraction"), ("state", "queued")))
    assert key not in before
    assert key not in _scraped(client)


def test_a_database_that_is_gone_fails_no_scrape(tmp_path: Path):
    url = parse_url("postgresql://nobody@127.0.0.1:1/gone")
    here = Surroundings(Store(url, make_engine(url)), tmp_path, {}, lambda _job: None, False, "9.9")
    with TestClient(create_app(here, ui=tmp_path), base_url="http://localhost") as client:
        found = _scraped(client)
    assert found["featlas_database_up", ()] == 0
    assert ("featlas_jobs_silent", ()) not in found
    assert found["featlas_build_info", (("version", "9.9"),)] == 1


def test_open_streams_are_counted_and_never_timed(store: Store, tmp_path: Path):
    stream = "/api/v1/jobs/stream"
    with served_app(store, tmp_path) as url:
        with httpx2.stream("GET", url + stream, timeout=30) as answer:
            jobs.enqueue(store, "extraction", SPEC)
            lines = answer.iter_lines()
            next(lines)
            assert _samples(httpx2.get(f"{url}/metrics").text)["featlas_event_streams", ()] == 1
        while (found := _samples(httpx2.get(f"{url}/metrics").text))["featlas_event_streams", ()]:
            continue
    assert found["featlas_http_requests_total", (("method", "GET"), ("route", stream), ("status", "200"))] == 1
    assert not any(dict(labels).get("route") == stream for name, labels in found if "seconds" in name)
