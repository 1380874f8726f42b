import re
from html import unescape
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.unit.api.conftest import make_served

from featlas.api.pages import add_pages
from featlas.store.session import Store


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture
def site(store: Store, tmp_path: Path) -> TestClient:
    ui = tmp_path / "web"
    (ui / "assets").mkdir(parents=True)
    (ui / "index.html").write_text("<!doctype html><html><head><title>F</title></head><body></body></html>")
    (ui / "favicon.svg").write_text("<svg/>")
    (ui / "assets" / "index-abc.js").write_text("let x")
    return make_served(store, tmp_path, ui, [])


@pytest.mark.parametrize(
    ("path", "base"),
    [("/", "./"), ("/jobs", "./"), ("/jobs/7", "../"), ("/s/abc/f/12", "../../../"), ("/s/abc/features", "../../")],
)
def test_every_screen_is_the_page_and_finds_its_files_whatever_the_prefix(site: TestClient, path: str, base: str):
    answer = site.get(path)
    assert answer.status_code == 200
    assert f'<head><base href="{base}">' in answer.text
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(("name", "kept"), [("icon.svg", "public, max-age=3600"), ("theme.js", "no-cache")])
def test_the_icon_is_kept_for_a_while_and_a_script_without_a_hash_is_not(tmp_path: Path, name: str, kept: str):
    (tmp_path / "index.html").write_text("<head></head>")
    (tmp_path / name).write_text("made")
    app = FastAPI()
    add_pages(app, tmp_path)
    assert TestClient(app).get(f"/{name}").headers["cache-control"] == kept


@pytest.mark.parametrize(
    ("address", "search"),
    [
        ("/s/abc/features", ""),
        ("/s/abc/features?q=", ""),
        (
            "/s/abc/features?q=-is:dead+%22a%22~*&sort=-max_activation&at=3&run=7",
            "run=7&q=-is%3Adead+%22a%22%7E*&sort=-max_activation",
        ),
    ],
)
def test_the_page_of_a_list_hints_at_what_the_list_will_ask(site: TestClient, address: str, search: str):
    hinted = re.findall(
        '<link rel="preload" as="fetch" crossorigin="anonymous" href="([^"]+)">', site.get(address).text
    )
    assert [unescape(href) for href in hinted] == [f"api/v1/saes/abc/matches?{search}{'&' if search else ''}rows=24"]


@pytest.mark.parametrize("path", ["/", "/s/abc/f/1", "/jobs", "/s/abc/features/more"])
def test_other_pages_hint_at_nothing(site: TestClient, path: str):
    assert "preload" not in site.get(path).text


def test_a_hint_cannot_be_more_than_an_address(site: TestClient):
    assert "<script" not in site.get("/s/%22%3E%3Cscript%3E/features?q=%22%3E%3Cscript%3E").text


def test_files_with_a_hash_in_their_name_are_kept_by_browsers(site: TestClient):
    answer = site.get("/assets/index-abc.js")
    assert (answer.status_code, answer.text) == (200, "let x")
    assert "immutable" in answer.headers["cache-control"]


def test_a_file_of_an_older_build_is_not_answered_with_the_page(site: TestClient):
    answer = site.get("/assets/index-old.js")
    assert answer.status_code == 404
    assert "reload the page" in answer.json()["detail"]


def test_plain_files_are_served_and_no_path_leads_out(site: TestClient):
    assert site.get("/favicon.svg").text == "<svg/>"
    assert "<base" in site.get("/..%2f..%2fetc%2fpasswd").text


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/nothing", "/api/v2/runs"])
def test_under_api_what_is_not_there_is_a_problem_not_the_page(site: TestClient, path: str):
    answer = site.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert path in answer.json()["detail"]


def test_without_a_built_page_there_is_one_that_says_how_to_get_it(store: Store, tmp_path: Path):
    answer = make_served(store, tmp_path, tmp_path / "missing", []).get("/s/x/features")
    assert answer.status_code == 503
    assert "make ui" in answer.text
