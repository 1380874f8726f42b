"""Whatever is sent to the API, it answers as it says of itself, and never with a failure of its own."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.builders.doors import CLOSED, bearer, client_of
from tests.builders.fuzzing import THERE, are_valid, follow, fuzz, load, make_fuzzed_app

from featlas.api.door import Door
from featlas.domain import AccessScope
from featlas.store import access
from featlas.store.session import Store

N_EXAMPLES, N_WALKS = 2, 5
HOSTILE = [
    "",
    "a\0b",
    "-1",
    "9" * 19,
    "9" * 5000,
    "1e3",
    "٣",
    "%",
    "\r\nX: y",
    "../../etc/passwd",
    "\ufffe",
    "(",
    "'\"\\",
]
NEEDED = "feature=3&band=top&names=n_fires&a=1&b=2&sae=1"
LONE_SURROGATE = "%ED%A0%80"
BODIES = [b"", b"null", b"[]", b"1", b'"', b"{", b"\xff",
          b'{"spec": {"run": "\\ud800"}}', b'{"spec": {"run": "\\u0000"}}',
          b"[" * 100_000, b'{"spec": {"retry_of": ' + b"9" * 5000 + b"}}", b'{"spec": {"seed": 1e400}}', b"NaN",
          b'{"kind": "extraction", "spec": {"model": "\\u0000", "sae": "\\ud800", "text": ["\\u0000"]}}',
          b'{"name": "\\u0000", "wording": {"user_text": "\\ud800"}}', b'{"reviewer": "\\u0000", "action": "skip"}',
          b'{"semantic_label": "\\u0000\\ud800"}', b'{"feature_indices": [' + b"9" * 400 + b"]}"]  # fmt: skip


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> str:
    """SQLite, where a test does not ask for both."""
    return getattr(request, "param", "sqlite")


def test_every_operation_keeps_to_its_description(store: Store, tmp_path: Path):
    found = fuzz(make_fuzzed_app(store, tmp_path, Door()), N_EXAMPLES, {})
    assert len(found.n_asked) > 50
    assert found.statuses[200] > 0
    assert [status for status in found.statuses if status >= 500] == []


def test_walks_from_answer_to_request(store: Store, tmp_path: Path):
    follow(make_fuzzed_app(store, tmp_path, Door()), N_WALKS, {})


def test_behind_a_door_a_reader_keeps_to_it_too(store: Store, tmp_path: Path):
    _, secret = access.create_token(store, "fuzz", scope=AccessScope.READ)
    found = fuzz(make_fuzzed_app(store, tmp_path, CLOSED), 1, bearer(secret))
    assert found.statuses[401] == 0
    assert found.statuses[403] > 0
    assert [status for status in found.statuses if status >= 500] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [("rows=0.0&q=", True), ("rows=5", True), ("", True), ("rows=0.5", False), ("rows=201", False),
     ("rows=x", False), ("rows=1&rows=x", False), ("rows=", False)],
)  # fmt: skip
def test_only_what_fits_as_it_is_sent_may_be_accepted(store: Store, tmp_path: Path, query: str, expected: bool):
    schema = load(make_fuzzed_app(store, tmp_path, Door()), {"Host": "localhost"})
    operation = schema["/api/v1/saes/{sae}/matches"]["GET"]
    assert are_valid(f"http://localhost/api/v1/saes/1/matches?{query}", operation) == expected


def filled_in(path: str) -> str:
    """An address that names what is there."""
    return re.sub(r"{(\w+)}", lambda named: str(THERE.get(named[1], "openai")), path)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"], indirect=True)
def test_values_that_others_stumble_over(store: Store, tmp_path: Path):
    app = make_fuzzed_app(store, tmp_path, Door())
    client, failed = client_of(app), []

    def ask(method: str, url: str, body: bytes | None = None) -> None:
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = client.request(method, url, content=body, headers=headers)
        if answer.status_code >= 500:
            failed.append((method, url[:200], (body or b"")[:80], answer.text[:300]))

    for path, methods in app.openapi()["paths"].items():
        if "/stream" in path:
            continue
        there = filled_in(path)
        for method, operation in methods.items():
            for body in BODIES if "requestBody" in operation else ():
                ask(method, there, body)
            names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            for value in [*map(quote, HOSTILE), LONE_SURROGATE]:
                for name in names if method == "get" else ():
                    ask(method, f"{there}?{name}={value}&{NEEDED}")
                for named in re.findall(r"{\w+}", path) if value else ():
                    ask(method, filled_in(path.replace(named, value.replace("/", "%2F"))), b"{}")
    assert failed == []
