"""What must hold on every screen: both themes accessible, wide and narrow, under a path, and no other host."""

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.conftest import PlantedRun
from tests.e2e.pages.accessibility import SIZES, find_faults
from tests.e2e.pages.conftest import Watched, sae_of, watch
from tests.e2e.serving import Server, serving

SCREENS = {
    "library": "",
    "features": "s/{sae}/features?q=-is:dead",
    "cards": "s/{sae}/features?view=cards",
    "empty result": "s/{sae}/features?q=n_fires:>1e12",
    "bad query": "s/{sae}/features?q=is:deed",
    "feature": "s/{sae}/f/7",
    "dead feature": "s/{sae}/f/8",
    "out of range": "s/{sae}/f/99999",
    "who reviews": "s/{sae}/review",
    "review": "s/{sae}/review?q=-is:dead",
    "review, done": "s/{sae}/review?q=is:dead",
    "jobs": "jobs",
    "job": "jobs/1",
    "label": "s/{sae}/label",
    "label offline": "s/{sae}/label?provider=lexical",
    "labeling job": "jobs/2",
    "compare": "labelings/compare?a=2&b=2&which=all",
    "nothing to compare": "labelings/compare",
    "templates": "templates",
    "template": "templates/1",
    "new template": "templates/new",
}


def open_screen(watched: Watched, name: str) -> Page:
    page = watched.open(SCREENS[name].format(sae=sae_of(watched)))
    expect(page.get_by_role("main")).to_be_visible()
    if name.startswith("review") and page.evaluate("localStorage.getItem('featlas.reviewer')") is None:
        page.get_by_label("Your name").fill("Ada")
        page.keyboard.press("Enter")
    expect(page.locator(".bone")).to_have_count(0)
    return page


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_every_screen_is_accessible(chromium: Browser, server: Server, size: tuple[int, int]):
    viewport = {"width": size[0], "height": size[1]}
    for watched in watch(chromium, server.url, viewport=viewport, reduced_motion="reduce"):
        wrong = {name: find_faults(open_screen(watched, name)) for name in SCREENS}
    assert wrong == {name: [] for name in SCREENS}


def test_dialogs_are_accessible(watched: Watched):
    page = open_screen(watched, "features")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert find_faults(page) == []
    page.keyboard.press("Escape")
    page.locator("[role=row][data-place]").first.focus()
    page.keyboard.press("o")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog").locator(".bone")).to_have_count(0)
    assert find_faults(page) == []


def test_the_theme_is_kept_and_follows_the_system_until_then(chromium: Browser, server: Server):
    background = "getComputedStyle(document.documentElement).backgroundColor"
    for watched in watch(chromium, server.url, color_scheme="dark"):
        page = open_screen(watched, "library")
        dark = page.evaluate(background)
        page.emulate_media(color_scheme="light")
        assert page.evaluate(background) != dark
        page.keyboard.press("T")
        chosen = page.evaluate(background)
        page.reload()
        expect(page.get_by_role("main")).to_be_visible()
        assert page.evaluate(background) == chosen


def test_under_a_path_of_its_own(chromium: Browser, labeled: PlantedRun, package: Path):
    with serving(labeled.featlas, "--root-path", "/tools/featlas", package=package) as server:
        assert server.url.endswith("/tools/featlas/")
        _walk(chromium, server.url)


def test_behind_a_proxy_that_takes_a_prefix_away(chromium: Browser, server: Server):
    with stripping_proxy(server.url, "/atlas") as url:
        _walk(chromium, url)


def _walk(chromium: Browser, url: str) -> None:
    """Screens load by their addresses, however deep, and links stay under the path."""
    for watched in watch(chromium, url):
        for name in ("features", "feature", "review", "jobs", "labeling job", "compare", "new template"):
            open_screen(watched, name)
        page = open_screen(watched, "library")
        page.get_by_role("article").get_by_role("link").first.click()
        expect(page.locator("[role=row][data-place]").first).to_be_visible()
        assert page.url.startswith(url)
        page.reload()
        link = page.locator("[role=row][data-place]").first.get_by_role("link")
        expect(link).to_be_visible()
        address = link.evaluate("(a) => a.href")  # what another tab would open
        assert address.startswith(url)
        link.click()
        expect(page.get_by_role("region", name="Examples")).to_be_visible()
        assert page.url == address
        page.goto(address)
        expect(page.get_by_role("region", name="Examples")).to_be_visible()


@contextmanager
def stripping_proxy(target: str, prefix: str) -> Iterator[str]:
    """A reverse proxy, as small as it can be: GET and POST, whole bodies, the prefix removed."""
    host = urlsplit(target).netloc

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
                connection.request(self.command, self.path.removeprefix(prefix), self.rfile.read(length), headers)
                with connection.getresponse() as answer, suppress(ConnectionError):  # the browser may have gone on
                    self.pass_on(answer)

        do_POST = do_GET  # noqa: N815 (the names that http.server calls)

        def pass_on(self, answer: http.client.HTTPResponse) -> None:
            if answer.getheader("Content-Type", "").startswith("text/event-stream"):
                self.send_error(502, "streams do not pass here")  # the page polls instead
                return
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}{prefix}/"
    finally:
        proxy.shutdown()
        proxy.server_close()


@pytest.mark.parametrize("search", ["", "?q=-is:dead+token:~o*&sort=-max_activation", "?q=is:unlabeled%20%22the%22"])
def test_the_list_takes_the_answer_that_was_hinted_at(watched: Watched, search: str):
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    page = watched.open(f"s/{sae_of(watched)}/features{search}")
    expect(page.get_by_role("navigation", name="Screens")).to_be_visible()
    expect(page.get_by_role("complementary").locator(".bone")).to_have_count(0)
    lists = [url for url in asked if re.search("/api/v1/saes/[^/]+/(matches|features)([?]|$)", url)]
    assert len(lists) == 1, lists
