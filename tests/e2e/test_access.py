"""A server that others reach, as a process: nobody comes in without a token, and tokens come from the command line."""

import re
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from tests.e2e.command import Featlas
from tests.e2e.serving import serving

PATIENCE_S = 120


def status_of(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_server_on_all_addresses_asks_for_tokens_which_the_command_line_gives_and_takes(tmp_path: Path):
    root = tmp_path / "root"
    root.mkdir()
    featlas = Featlas(tmp_path / "home", {"FEATLAS_ROOTS": str(root), "FEATLAS_ALLOWED_HOSTS": "a.example, b.example"})
    token = featlas.json("tokens", "create", "ci")[0]["token"]
    reader = featlas.json("tokens", "create", "reader", "--read-only", "--days", 2)[0]["token"]
    with serving(featlas, "--host", "0.0.0.0", "--allowed-host", "c.example") as server:
        assert server.url.startswith("http://c.example:")
        url = f"http://127.0.0.1:{server.url.rstrip('/').rpartition(':')[2]}"
        login = re.search(r"http://\S+/login(\?code=\S+)", "".join(server.lines))
        assert login is not None
        writes, reads = ({"Authorization": f"Bearer {secret}"} for secret in (token, reader))
        assert [status_of(f"{url}/api/v1/runs", **who) for who in ({}, writes, reads)] == [401, 200, 200]
        for host, status in (("a.example", 200), ("c.example", 200), ("10.1.2.3", 200), ("d.example", 403)):
            assert status_of(f"{url}/api/v1/runs", Host=host, **writes) == status
        spec = b'{"kind": "extraction", "spec": {"model": "/etc", "sae": "/etc", "text": ["/etc/passwd"]}}'
        json = {"Content-Type": "application/json"}
        assert status_of(f"{url}/api/v1/jobs", "POST", spec, **json, **writes) == 422
        assert status_of(f"{url}/api/v1/jobs", "POST", spec, **json, **reads) == 403
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        assert browser.open(url + "/login" + login[1], timeout=PATIENCE_S).status == 200
        assert browser.open(f"{url}/api/v1/runs", timeout=PATIENCE_S).status == 200
        assert status_of(url + "/login" + login[1]) == 401
        again = featlas.run("tokens", "login", "Ada", "--url", f"{url}/", "--read-only").stdout.strip()
        assert status_of(again) == 200
        listed = featlas.run("tokens", "ls", "--json")
        names = {(access["name"], access["kind"], access["scope"]) for access in listed.lines}
        assert names == {("ci", "token", "write"), ("reader", "token", "read"), ("browser", "session", "write"),
                         ("Ada", "session", "read")}  # fmt: skip
        featlas.run("tokens", "revoke", "ci")
        assert status_of(f"{url}/api/v1/runs", **writes) == 401
        told = "".join(server.lines) + listed.stdout + featlas.run("tokens", "ls", "--all").stdout
        kept = b"".join(path.read_bytes() for path in featlas.home.rglob("*") if path.is_file())
    for secret in (token, reader, again.rpartition("code=")[2]):
        assert secret[8:] not in told
        assert secret[8:].encode() not in kept


def test_behind_a_proxy_this_machines_own_address_asks_too(tmp_path: Path):
    with serving(Featlas(tmp_path / "home"), "--require-token", "--allowed-host", "atlas.example") as server:
        assert status_of(f"{server.url}api/v1/runs") == 401
        assert status_of(f"{server.url}api/v1/runs", Host="atlas.example") == 401


def test_a_root_that_is_no_folder_is_refused_before_anything_is_served(tmp_path: Path):
    featlas = Featlas(tmp_path / "home", {"FEATLAS_ROOTS": f"{tmp_path}:relative"})
    done = featlas.run("serve", "--host", "0.0.0.0", "--port", 0, code=2)
    assert "FEATLAS_ROOTS: 'relative'" in done.stderr


@pytest.mark.parametrize("arguments", [["create", ""], ["create", "x", "--days", 0], ["login", "--url", "ftp://x"]])
def test_what_cannot_be_made_is_refused(tmp_path: Path, arguments: list[object]):
    Featlas(tmp_path / "home").run("tokens", *arguments, code=2)
