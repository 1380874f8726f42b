from pathlib import Path

import pytest
from tests.builders.doors import client_of, make_app
from tests.unit.api.conftest import Served

from featlas.api.door import Door
from featlas.store.session import Store


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:1", "[::1]:8765", "LOCALHOST"])
def test_this_machines_names_are_answered(served: Served, host: str):
    assert served.client.get("/api/v1/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "", "[x"]
)
def test_a_foreign_name_that_points_here_is_refused(served: Served, host: str):
    answer = served.client.get("/api/v1/runs", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_sites_page_may_not_write(served: Served):
    body = {"kind": "extraction", "spec": {}}
    answer = served.client.post("/api/v1/jobs", json=body, headers={"Origin": "https://example.org"})
    assert answer.status_code == 403
    assert "https://example.org" in answer.json()["detail"]


def test_our_own_page_may(served: Served):
    headers = {"Origin": "http://localhost:8765", "Host": "localhost:8765"}
    assert served.client.post("/api/v1/jobs", json={"kind": "?", "spec": {}}, headers=headers).status_code == 422


def test_our_own_page_behind_a_proxy_that_renames_the_host_may(served: Served):
    headers = {"Origin": "https://atlas.example.org", "Host": "127.0.0.1:8765", "Sec-Fetch-Site": "same-origin"}
    assert served.client.post("/api/v1/jobs", json={"kind": "?", "spec": {}}, headers=headers).status_code == 422


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_other_pages_may_not_whatever_the_browser_calls_them(served: Served, site: str):
    headers = {"Origin": "https://example.org", "Sec-Fetch-Site": site}
    assert served.client.post("/api/v1/jobs", json={"kind": "?", "spec": {}}, headers=headers).status_code == 403


def test_another_port_of_this_machine_is_another_site(served: Served):
    headers = {"Origin": "http://localhost:3000", "Host": "localhost:8765"}
    assert served.client.get("/api/v1/health", headers=headers).status_code == 403


def test_a_form_of_another_site_is_no_json(served: Served):
    answer = served.client.post(
        "/api/v1/jobs", content='{"kind": "extraction", "spec": {}}', headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("host", "code"),
    [("10.0.0.1:8765", 200), ("[2001:db8::7]", 200), ("atlas.example.org", 200), ("ATLAS.example.org:443", 200),
     ("localhost", 200), ("example.org", 403), ("10.0.0.1.example.org", 403), ("0x7f000001", 403), ("127.1", 403),
     ("", 403)],
)  # fmt: skip
def test_where_all_addresses_are_served_any_address_is_ours_and_no_other_name(
    store: Store, tmp_path: Path, host: str, code: int
):
    door = Door(allowed_hosts={"localhost", "atlas.example.org"}, allows_addresses=True)
    client = client_of(make_app(store, tmp_path, door))
    assert client.get("/api/v1/health", headers={"Host": host}).status_code == code
