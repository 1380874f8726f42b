"""A server that asks for a login, in a real browser: the way in, what a reader sees, and the end of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect
from tests.e2e.command import Featlas
from tests.e2e.pages.accessibility import find_faults_at_all_sizes
from tests.e2e.pages.conftest import Watched, watch
from tests.e2e.serving import serving


@dataclass
class Closed:
    """A closed server, the command line beside it, and its first one-time address."""

    featlas: Featlas
    url: str
    login: str

    def new_login(self, *options: str) -> str:
        return self.featlas.run("tokens", "login", "--url", self.url, *options).stdout.strip()


@pytest.fixture(scope="module")
def closed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    featlas = Featlas(tmp_path_factory.mktemp("closed") / "home")
    with serving(featlas, "--require-token", package=package) as server:
        login = re.search(r"http://\S+/login\?code=\S+", "".join(server.lines))
        assert login is not None, server.lines
        yield Closed(featlas, server.url, login[0])


@pytest.fixture
def visitor(chromium: Browser, closed: Closed) -> Iterator[Watched]:
    yield from watch(chromium, closed.url, reduced_motion="reduce")


def test_a_browser_without_access_is_told_how_to_get_it_and_one_with_an_address_gets_in(
    visitor: Watched, closed: Closed
) -> None:
    page = visitor.open("jobs")
    expect(page.get_by_role("heading", name="you need a login")).to_be_visible()
    expect(page.get_by_text("featlas tokens login --url")).to_be_visible()
    assert find_faults_at_all_sizes(page) == []
    page.goto(closed.new_login())
    expect(page.get_by_role("main")).to_be_visible()
    expect(page).to_have_url(closed.url)
    assert "code=" not in page.url
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="you need a login")).to_be_visible()


def test_the_address_that_the_server_prints_works_once(chromium: Browser, closed: Closed) -> None:
    for watched in watch(chromium, closed.url):
        watched.page.goto(closed.login)
        expect(watched.page.get_by_role("button", name="Log out")).to_be_visible()
    for watched in watch(chromium, closed.url):
        watched.page.goto(closed.login)
        expect(watched.page.get_by_role("heading", name="no good any more")).to_be_visible()


def test_a_reader_is_told_why_nothing_can_be_changed(visitor: Watched, closed: Closed) -> None:
    page = visitor.page
    page.goto(closed.new_login("--read-only"))
    expect(page.get_by_text("read only")).to_be_visible()
    visitor.open("templates")
    page.get_by_role("button", name=re.compile("favourite", re.IGNORECASE)).first.click()
    expect(page.get_by_text("may only read").first).to_be_visible()
    assert find_faults_at_all_sizes(page) == []


def test_a_page_whose_access_ends_says_so_and_goes_on_after_a_new_login(visitor: Watched, closed: Closed) -> None:
    page = visitor.page
    page.goto(closed.new_login())
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    closed.featlas.run("tokens", "revoke", "browser")
    page.get_by_role("link", name="Templates").click()
    expect(page.get_by_role("heading", name="Your access has ended")).to_be_visible()
    expect(page.get_by_text(f"featlas tokens login --url {closed.url}")).to_be_visible()
    assert find_faults_at_all_sizes(page) == []
    other = page.context.new_page()
    other.goto(closed.new_login())
    expect(other.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("heading", name="Your access has ended")).to_be_hidden()


def test_a_link_of_another_site_leads_in_whoever_is_logged_in(visitor: Watched, closed: Closed) -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="{closed.url}jobs">go</a>'.encode())

        def log_message(self, *_: object) -> None:
            pass

    page = visitor.page
    page.goto(closed.new_login())
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        Thread(target=elsewhere.serve_forever, daemon=True).start()
        address = f"http://localhost:{elsewhere.server_port}/"
        page.goto(address)
        page.get_by_role("link", name="go").click()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        elsewhere.shutdown()
    visitor.elsewhere[:] = [url for url in visitor.elsewhere if not url.startswith(address)]


def test_a_script_that_got_into_the_page_does_not_run(chromium: Browser, closed: Closed) -> None:
    for watched in watch(chromium, closed.url):
        watched.page.goto(closed.new_login())
        expect(watched.page.get_by_role("button", name="Log out")).to_be_visible()
        watched.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                document.body.append(script);
            }"""
        )
        assert watched.page.evaluate("window.ran") is None
        assert ["Content Security Policy" in error for error in watched.errors] == [True]
        watched.errors.clear()
