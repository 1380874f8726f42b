"""Who is let in where the server asks for tokens: nobody without one, readers where nothing changes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from tests.builders.doors import NAME, bearer, client_of, make_app

from featlas.api.doorkeeper import COOKIE, OPEN_TO_ALL, READERS_MAY_POST
from featlas.domain import AccessKind, AccessScope
from featlas.store import access
from featlas.store.session import Store

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PROBLEM = "application/problem+json"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
# Every request that changes something. A new route belongs here, or into READERS_MAY_POST if it only computes.
WRITES = [
    "POST /api/v1/jobs",
    "POST /api/v1/jobs/{job}/cancel",
    "POST /api/v1/jobs/{job}/pause",
    "POST /api/v1/jobs/{job}/resume",
    "POST /api/v1/labels/{label}/accept",
    "POST /api/v1/labels/{label}/reject",
    "POST /api/v1/labels/{label}/restore",
    "POST /api/v1/providers/{name}/test",
    "POST /api/v1/saes/{sae}/features/{feature_index}/favorite",
    "POST /api/v1/saes/{sae}/features/{feature_index}/labels",
    "POST /api/v1/saes/{sae}/features/{feature_index}/reviews",
    "POST /api/v1/saes/{sae}/reviews/undo",
    "DELETE /api/v1/templates/{template}",
    "PATCH /api/v1/templates/{template}",
    "POST /api/v1/templates",
    "POST /api/v1/templates/import",
    "POST /api/v1/templates/{template}/clone",
    "POST /api/v1/templates/{template}/default",
    "POST /api/v1/templates/{template}/favorite",
]


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@dataclass
class House:
    """A closed server over an empty store, with a token that may write and one that may only read."""

    app: FastAPI
    client: TestClient
    store: Store
    writer: dict[str, str]
    reader: dict[str, str]


@pytest.fixture
def house(store: Store, tmp_path: Path) -> Iterator[House]:
    _, writer = access.create_token(store, "writer")
    _, reader = access.create_token(store, "reader", scope=AccessScope.READ)
    app = make_app(store, tmp_path)
    with client_of(app) as client:
        yield House(app, client, store, bearer(writer), bearer(reader))


def requests_of(app: FastAPI) -> list[tuple[str, str]]:
    """Every (method, path) that a route of the application answers."""
    found = []
    for context in iter_route_contexts(app.routes):
        methods = getattr(context, "methods", None) or getattr(context.original_route, "methods", None) or ()
        found += [(method, context.path) for method in sorted(methods) if method != "HEAD"]
    assert len(found) > 40, found
    return found


def filled_in(path: str) -> str:
    """An address of that route."""
    return re.sub(r"{[^}]*:path}", "x/y", re.sub(r"{[^}:]*}", "1", path))


def test_without_a_token_every_route_is_closed(house: House):
    for method, path in requests_of(house.app):
        if path in OPEN_TO_ALL:
            continue
        for headers in ({}, PAGE, bearer("featlas_wrong"), {"Cookie": f"{COOKIE}=featlas_wrong"}):
            answer = house.client.request(method, filled_in(path), headers=headers)
            assert answer.status_code == 401, (method, path, answer.text)
            assert "featlas tokens" in answer.text
        assert answer.headers["content-type"] == PROBLEM
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/api/nothing", "/nothing", "/assets", "/docs", "/metrics", "//login", "/login/"])
def test_what_is_not_there_is_closed_too(house: House, path: str):
    assert house.client.get(f"http://localhost{path}").status_code == 401


def test_the_pages_files_are_open(house: House):
    for path in ("/icon.svg", "/assets/index-abc.js"):
        assert house.client.get(path).status_code == 200
    assert house.client.get("/index.html").status_code == 401
    for way_out in ("../index.html", "..%2findex.html", "%2e%2e/index.html", "/etc/passwd", "..%2f..%2ffeatlas.db"):
        answer = house.client.get(f"http://localhost/assets/{way_out}")
        assert answer.status_code in (401, 404)
        assert "our page" not in answer.text


def test_only_the_documented_doors_are_open(house: House):
    assert {"/login", "/healthz", "/readyz"} == OPEN_TO_ALL
    for path in OPEN_TO_ALL:
        for method in UNSAFE:
            assert house.client.request(method, path).status_code == 401


def test_every_request_that_is_no_get_is_known_as_a_write_or_as_one_that_only_computes(house: House):
    unsafe = {f"{method} {path}" for method, path in requests_of(house.app) if method in UNSAFE}
    assert unsafe == {*WRITES, *(f"POST {path}" for path in READERS_MAY_POST)}


def test_a_reader_reads_and_writes_nothing(house: House):
    for request in WRITES:
        method, path = request.split()
        answer = house.client.request(method, filled_in(path), headers=house.reader, json={})
        assert (answer.status_code, answer.headers["content-type"]) == (403, PROBLEM), request
        assert "only read" in answer.json()["detail"]
    for method, path in requests_of(house.app):
        if method == "GET" and "stream" not in path and path not in OPEN_TO_ALL:
            assert house.client.get(filled_in(path), headers=house.reader).status_code not in (401, 403), path
    for path in READERS_MAY_POST:
        answer = house.client.post(filled_in(path), headers=house.reader, json={})
        assert answer.status_code in (204, 404, 422), path


@pytest.mark.parametrize(
    "path", ["/api/v1/labelings/plan/", "/api/v1/templates/validate/../import", "/api/v1/jobs?/logout"]
)
def test_nothing_looks_like_a_request_that_only_computes(house: House, path: str):
    assert house.client.post(f"http://localhost{path}", headers=house.reader, json={}).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_writes(house: House, method: str):
    assert house.client.request(method, "/api/v1/saes/1/rows", headers=house.reader).status_code == 403


def test_a_writer_writes(house: House):
    answer = house.client.post("/api/v1/templates", headers=house.writer, json={})
    assert answer.status_code == 422


@pytest.mark.parametrize("scheme", ["bearer {}", "BEARER  {} "])
def test_the_scheme_is_read_as_http_says(house: House, scheme: str):
    secret = house.writer["Authorization"].split()[1]
    assert house.client.get("/api/v1/runs", headers={"Authorization": scheme.format(secret)}).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {} x", "Bearer\t{}"])
def test_other_schemes_are_no_token(house: House, header: str):
    secret = house.writer["Authorization"].split()[1]
    assert house.client.get("/api/v1/runs", headers={"Authorization": header.format(secret)}).status_code == 401


def test_a_revoked_token_is_turned_away_at_the_next_request(house: House):
    assert house.client.get("/api/v1/runs", headers=house.reader).status_code == 200
    access.revoke(house.store, "reader")
    assert house.client.get("/api/v1/runs", headers=house.reader).status_code == 401


def test_a_token_in_the_address_or_as_a_cookie_is_none(house: House):
    secret = house.writer["Authorization"].split()[1]
    assert house.client.get(f"/api/v1/runs?token={secret}").status_code == 401
    assert house.client.get("/api/v1/runs", headers={"Cookie": f"{COOKIE}={secret}"}).status_code == 401


def test_a_browser_is_told_how_to_get_in(house: House):
    answer = house.client.get("/s/x/features", headers=PAGE | {"Host": NAME})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert f"featlas tokens login --url http://{NAME}/" in answer.text
    assert "refresh" not in answer.text
    assert house.client.get("/api/v1/runs", headers=PAGE).headers["content-type"] == PROBLEM
    shown = house.client.get("/", headers=PAGE | {"Host": "localhost:<script>"})
    assert "<script>" not in shown.text


def test_who_comes_by_a_link_of_another_site_is_sent_round_once(house: House):
    for site, comes_again in (("cross-site", True), ("same-site", True), ("same-origin", False), ("none", False)):
        answer = house.client.get("/", headers=PAGE | {"Sec-Fetch-Site": site})
        assert ("http-equiv" in answer.text) is comes_again, site


def test_an_address_lets_a_browser_in_once_by_a_cookie_that_scripts_and_other_sites_do_not_get(house: House):
    code = access.create_login(house.store)
    answer = house.client.get(f"/login?code={code}", headers=PAGE)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert 'content="0; url=./"' in answer.text
    assert code not in answer.text
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert house.client.get("/s/x", headers=PAGE).text.endswith("our page</body></html>")
    assert house.client.get("/api/v1/runs").status_code == 200
    again = client_of(house.app).get(f"/login?code={code}", headers=PAGE)
    assert (again.status_code, again.headers["cache-control"], "set-cookie" in again.headers) == (
        401,
        "no-store",
        False,
    )


@pytest.mark.parametrize("code", ["", "x", "featlas_" + "A" * 43, "%00", "%ED%A0%80", "x" * 5000])
def test_other_codes_let_nobody_in(house: House, code: str):
    answer = house.client.get(f"/login?code={code}")
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_looking_at_an_address_without_opening_it_leaves_it_good(house: House):
    code = access.create_login(house.store)
    assert house.client.head(f"/login?code={code}").status_code == 405
    assert house.client.get(f"/login?code={code}").status_code == 200


def test_over_https_and_below_a_path_the_cookie_stays_there(store: Store, tmp_path: Path):
    client = client_of(make_app(store, tmp_path, root_path="/featlas"), f"https://{NAME}")
    answer = client.get(f"/featlas/login?code={access.create_login(store)}")
    assert {"Secure", "Path=/featlas"} <= set(answer.headers["set-cookie"].split("; "))
    assert client.get("/featlas/api/v1/runs").status_code == 200
    assert client.post("/featlas/api/v1/templates/validate", json={}).status_code == 422
    assert "our page" in client.get("/featlas/jobs", headers=PAGE).text


def test_a_read_only_browser_is_told_so_when_it_writes(house: House):
    house.client.get(f"/login?code={access.create_login(house.store, scope=AccessScope.READ)}")
    answer = house.client.post("/api/v1/jobs", json={"kind": "extraction", "spec": {}})
    assert (answer.status_code, "only read" in answer.json()["detail"]) == (403, True)


def test_logging_out_ends_the_session_itself_not_the_cookie_alone(house: House):
    house.client.get(f"/login?code={access.create_login(house.store)}")
    secret = house.client.cookies[COOKIE]
    assert house.client.get("/api/v1/runs").status_code == 200
    answer = house.client.post("/logout")
    assert (answer.status_code, COOKIE in house.client.cookies) == (204, False)
    assert house.client.get("/api/v1/runs", headers={"Cookie": f"{COOKIE}={secret}"}).status_code == 401
    assert AccessKind.SESSION not in [one.kind for one in access.list_access(house.store)]


def test_logging_out_with_a_token_leaves_the_token(house: House):
    assert house.client.post("/logout", headers=house.reader).status_code == 204
    assert house.client.get("/api/v1/runs", headers=house.reader).status_code == 200


def test_another_sites_page_may_not_use_the_cookie(house: House):
    house.client.get(f"/login?code={access.create_login(house.store)}")
    for headers in ({"Origin": "https://example.org"}, {"Origin": "null"}):
        assert house.client.post("/logout", headers=headers).status_code == 403
        assert house.client.get("/api/v1/runs", headers=headers).status_code == 403
    assert house.client.post("/api/v1/templates", headers={"Origin": "http://localhost"}, json={}).status_code == 422


def test_programs_without_an_origin_may_write_and_pages_of_others_with_a_token_may_not(house: House):
    foreign = house.writer | {"Origin": "https://example.org"}
    assert house.client.post("/api/v1/templates", headers=foreign, json={}).status_code == 403


def test_a_database_that_fails_lets_nobody_in(house: House, monkeypatch: pytest.MonkeyPatch):
    with house.store.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE access_tokens RENAME TO elsewhere")
    assert house.client.get("/api/v1/runs", headers=house.writer).status_code >= 500


def test_secrets_are_in_no_answer_and_in_no_log(house: House, caplog: pytest.LogCaptureFixture):
    code = access.create_login(house.store)
    house.client.get(f"/login?code={code}")
    secrets = [code, house.client.cookies[COOKIE], house.writer["Authorization"].split()[1]]
    with caplog.at_level("DEBUG", logger="featlas"):
        seen = [
            house.client.get(path, headers=headers).text
            for path in ("/", "/api/v1/runs", "/api/v1/health", "/api/v1/nothing", f"/login?code={code}")
            for headers in (PAGE, house.writer, {})
        ]
    assert [secret for secret in secrets if secret[8:] in caplog.text + "".join(seen)] == []
