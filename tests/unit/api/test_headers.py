"""What browsers are told on every answer."""

from pathlib import Path

import pytest
from tests.builders.doors import CLOSED, client_of, make_app

from featlas.api.door import Door
from featlas.api.headers import SAFE_HEADERS
from featlas.store.session import Store

EVERYTHING = ["/", "/jobs", "/icon.svg", "/assets/index-abc.js", "/assets/none.js", "/api/v1/runs", "/api/v1/runs/7",
              "/api/openapi.json", "/login", "/api/nothing"]  # fmt: skip


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.mark.parametrize("door", [Door(), CLOSED], ids=["at home", "closed"])
def test_every_answer_has_them(store: Store, tmp_path: Path, door: Door):
    client = client_of(make_app(store, tmp_path, door))
    for path in EVERYTHING:
        for host in ("localhost", "example.org"):
            headers = client.get(path, headers={"Host": host}).headers
            missing = {name for name, value in SAFE_HEADERS.items() if headers.get(name) != value}
            assert missing <= ({"Referrer-Policy"} if path == "/login" else set()), (path, host)


def test_an_unexpected_failure_has_them_too(store: Store, tmp_path: Path):
    def fail() -> None:
        raise ZeroDivisionError("on purpose")

    answer = client_of(make_app(store, tmp_path, Door(), list_providers=fail)).get("/api/v1/providers")
    assert answer.status_code == 500
    assert {name: answer.headers[name] for name in SAFE_HEADERS} == SAFE_HEADERS


def test_no_script_is_allowed_but_files_of_our_own():
    policy = SAFE_HEADERS["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["script-src"] == "'self'"
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "*" not in policy.replace("+", "")


def test_answers_of_the_api_stay_with_who_asked(store: Store, tmp_path: Path):
    client = client_of(make_app(store, tmp_path))
    assert client.get("/api/v1/runs").headers["cache-control"] == "private"
