"""The built wheel, served over a planted run that was labeled, in a real browser."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect
from tests.browser import browser
from tests.e2e.command import Featlas
from tests.e2e.conftest import PlantedRun
from tests.e2e.many import make_many
from tests.e2e.serving import REPOSITORY, Server, build_wheel, install_wheel, serving

from featlas.testing.planted_sae import Planted

PAGE = REPOSITORY / "src" / "featlas" / "web" / "index.html"
WIDE, NARROW = (1440, 900), (420, 860)
PATIENCE_MS = 60_000
expect.set_options(timeout=30_000)  # a machine that does other things too is slow, not wrong
_KNOWN_FAILURES = ("Failed to load resource", "net::ERR_")  # what the browser says when a test lets a request fail


@dataclass
class Watched:
    """A page, where its server is, and everything that went wrong in it or went elsewhere."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> Page:
        """Go to a path of the server and wait until it is quiet."""
        self.page.goto(self.url + path)
        return self.page

    def note(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(request.url)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Featlas is imported from once its wheel is installed."""
    assert PAGE.is_file(), "the page is not built: run `make ui`"
    folder = tmp_path_factory.mktemp("wheel")
    return install_wheel(build_wheel(folder), folder / "installed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="session")
def labeled(planted_run: PlantedRun) -> PlantedRun:
    planted_run.featlas.run("label", planted_run.run)
    return planted_run


@pytest.fixture(scope="session")
def unlabeled(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Featlas:
    """A home with a run of many features, of which copies are served and labeled."""
    return make_many(planted, tmp_path_factory.mktemp("unlabeled"))


@pytest.fixture(scope="session")
def server(labeled: PlantedRun, package: Path) -> Iterator[Server]:
    with serving(labeled.featlas, package=package) as started:
        yield started


@pytest.fixture(scope="session")
def empty_server(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in whose home nothing has happened yet."""
    with serving(Featlas(tmp_path_factory.mktemp("empty") / "home"), package=package) as started:
        yield started


@pytest.fixture
def watched(chromium: Browser, server: Server) -> Iterator[Watched]:
    yield from watch(chromium, server.url)


@pytest.fixture
def fresh(chromium: Browser, empty_server: Server) -> Iterator[Watched]:
    yield from watch(chromium, empty_server.url)


def watch(chromium: Browser, url: str, **options: Any) -> Iterator[Watched]:
    """A new page; at its end nothing may have gone wrong in it, and nothing to another host."""
    given = {"viewport": {"width": WIDE[0], "height": WIDE[1]}, "color_scheme": "light", **options}
    context: BrowserContext = chromium.new_context(**given)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    found = Watched(page, url)
    page.on("request", found.note)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("console", lambda message: _note_console(found, message))
    yield found
    context.close()
    assert found.errors == []
    assert found.elsewhere == []


def _note_console(found: Watched, message: Any) -> None:
    if message.type == "error" and not any(known in message.text for known in _KNOWN_FAILURES):
        found.errors.append(message.text)


def sae_of(server_or_page: Watched) -> str:
    """The uid of the only SAE."""
    answer = server_or_page.page.request.get(f"{server_or_page.url}api/v1/saes")
    (sae,) = answer.json()
    return sae["uid"]
