"""/healthz and /readyz: who they answer, what they say, and that a database which hangs holds up neither."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from tests.builders.doors import bearer, client_of, make_app
from tests.builders.served import served_app
from tests.builders.silence import silent_server

from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.domain import AccessScope
from featlas.entry.readiness import readiness_checks
from featlas.errors import ExternalError
from featlas.settings import Settings
from featlas.store.access import create_token
from featlas.store.database import make_engine, parse_url
from featlas.store.session import Store

MORE_THAN_THREADS = 45
AT_ONCE_S = 2.5  # a guard for a busy machine: alone it takes milliseconds
CANARY = "hunter2secret"
PATIENCE_S = 30


def _client(store: Store, folder: Path, checks: dict[str, Callable[[], str]], root_path: str = "") -> TestClient:
    here = Surroundings(store, folder, {}, lambda _job: None, False, "9.9", checks=checks)
    return TestClient(create_app(here, ui=folder), base_url="http://localhost", root_path=root_path)


def test_where_tokens_are_asked_for_probes_need_none_and_figures_do(store: Store, tmp_path: Path):
    _, secret = create_token(store, "prometheus", scope=AccessScope.READ)
    with client_of(make_app(store, tmp_path)) as client:
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        assert client.get("/metrics").status_code == 401
        answer = client.get("/metrics", headers=bearer(secret))
    assert answer.status_code == 200
    assert 'featlas_http_requests_total{method="GET",route="none",status="401"} 1.0' in answer.text
    assert secret not in answer.text


@pytest.mark.parametrize("root_path", ["", "/featlas"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_to_anybody_by_any_name(store: Store, tmp_path: Path, path: str, root_path: str):
    with _client(store, tmp_path, {}, root_path=root_path) as client:
        for prefix in {"", root_path}:
            answer = client.get(prefix + path, headers={"Host": "10.0.0.7:8080", "Origin": "http://elsewhere"})
            assert answer.status_code == 200, answer.text
        assert client.post(path).status_code == 405


def test_ready_means_that_every_check_is_well(store: Store, tmp_path: Path):
    with _client(store, tmp_path, {"database": lambda: "", "broker": lambda: ""}) as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.json()["checks"] == {"database": "ok", "broker": "ok"}


def test_one_thing_that_is_wrong_is_told_beside_what_is_well(store: Store, tmp_path: Path):
    def broken() -> str:
        raise ExternalError("the password of /secret/place is wrong")

    checks = {"database": lambda: "", "artifacts": lambda: "cannot be written", "broker": broken}
    with _client(store, tmp_path, checks) as client:
        answer = client.get("/readyz")
        assert client.get("/healthz").status_code == 200
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert answer.json()["checks"] == {"database": "ok", "artifacts": "cannot be written", "broker": "failed"}


def test_many_who_ask_at_once_cost_one_look(store: Store, tmp_path: Path):
    n_looks = 0
    hold = threading.Event()

    def look() -> str:
        nonlocal n_looks
        n_looks += 1
        hold.wait(PATIENCE_S)
        return ""

    with served_app(store, tmp_path, checks={"database": look}) as url, ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(httpx2.get, f"{url}/readyz", timeout=PATIENCE_S) for _ in range(8)]
        while not n_looks:
            time.sleep(0.01)
        hold.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert n_looks == 1


def _ask(url: str) -> int:
    return httpx2.get(url, timeout=PATIENCE_S).status_code


def _timed(url: str) -> tuple[httpx2.Response, float]:
    started = time.monotonic()
    answer = httpx2.get(url, timeout=PATIENCE_S)
    return answer, time.monotonic() - started


def test_a_database_that_hangs_holds_up_nothing_that_needs_none(tmp_path: Path):
    with ExitStack() as silence, ThreadPoolExecutor(MORE_THAN_THREADS + 2) as pool:
        port = silence.enter_context(silent_server())
        database = parse_url(f"postgresql://reader:{CANARY}@127.0.0.1:{port}/featlas")
        store = Store(database, make_engine(database, pool_size=20, max_overflow=20))
        with served_app(store, tmp_path, checks=readiness_checks(Settings(home=tmp_path), store)) as url:
            stuck = [pool.submit(_ask, f"{url}/api/v1/runs") for _ in range(MORE_THAN_THREADS)]
            at_once = [_timed(url + path) for path in ("/healthz", "/api/v1/health")]
            ready, metrics = pool.map(lambda path: _timed(url + path), ("/readyz", "/metrics"))
            at_once.append(_timed(f"{url}/healthz"))
            n_stuck = sum(not answer.done() for answer in stuck)
            silence.close()  # whoever still waits is cut off, so that the server can end
        assert {answer.result() for answer in stuck} == {502}
        store.close()
    assert n_stuck == MORE_THAN_THREADS
    assert [answer.status_code for answer, _ in at_once] == [200, 200, 200]
    assert max(seconds for _, seconds in at_once) < AT_ONCE_S
    assert (ready[0].status_code, metrics[0].status_code) == (503, 200)
    assert max(ready[1], metrics[1]) < 2 + AT_ONCE_S
    assert ready[0].json()["checks"]["artifacts"] == "ok"
    assert ready[0].json()["checks"]["database"] in ("does not answer within 2 s", "cannot be reached")
    assert CANARY not in ready[0].text
    assert "featlas_database_up 0.0" in metrics[0].text
    assert "featlas_jobs{" not in metrics[0].text
