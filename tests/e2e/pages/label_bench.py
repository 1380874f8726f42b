"""The labeling screens as tests sit at them: a served run of many features, and a scripted server that is asked."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect
from tests.e2e.command import Featlas
from tests.e2e.crowded import ask
from tests.e2e.many import RUN
from tests.e2e.pages.conftest import Watched, sae_of, watch
from tests.e2e.serving import serving

from featlas.testing.chat_scripts import Script
from featlas.testing.scripted_chat import ScriptedChat, running_chat_server

JOB_MS = 120_000
"""How long a job may take on a machine that does other things too."""


@dataclass
class Bench:
    """A page, the API behind it, and the chat server that its labelings ask."""

    watched: Watched
    chat: ScriptedChat
    sae: str

    @property
    def page(self) -> Page:
        return self.watched.page

    def open(self, path: str) -> Page:
        return self.watched.open(path.format(sae=self.sae))

    def api(self, path: str, body: Any = None) -> Any:
        return ask(f"{self.watched.url}api/v1/{path}", body)

    def label(self, **spec: object) -> int:
        """A labeling job, asked for behind the page's back, once it has succeeded."""
        body = {"kind": "labeling", "spec": {"run": RUN, "provider": "openai", "rules": False, **spec}}
        return self.wait_until_over(self.api("jobs", body)["id"])

    def wait_until_over(self, job: int) -> int:
        for _ in range(JOB_MS // 100):
            state = self.api(f"jobs/{job}")["state"]
            if state not in ("queued", "running"):
                assert state == "succeeded", self.api(f"jobs/{job}")
                return job
            self.page.wait_for_timeout(100)
        raise AssertionError(self.api(f"jobs/{job}"))

    def job_on_screen(self) -> int:
        """The job whose page is open, once it has succeeded."""
        self.page.wait_for_url("**/jobs/*")
        done = self.page.get_by_role("main").get_by_text("succeeded", exact=True)
        expect(done.first).to_be_visible(timeout=JOB_MS)
        return int(self.page.url.rsplit("/", 1)[-1])

    def figure(self, region: str, name: str) -> Locator:
        """A number of a list of figures, by its name."""
        section = self.page.get_by_role("region", name=region)
        return section.locator("dl > div").filter(has=self.page.get_by_text(name, exact=True)).locator("dd")


@contextmanager
def at_bench(
    chromium: Browser, many: Featlas, package: Path, home: Path, script: Script, **options: Any
) -> Iterator[Bench]:
    """A bench over a copy of that run; OpenAI is asked at the scripted server, and nobody else has a key."""
    shutil.copytree(many.home, home)
    with running_chat_server(script) as chat:
        env = {"OPENAI_API_KEY": "sk-bench", "FEATLAS_OPENAI_BASE_URL": chat.openai_url, "ANTHROPIC_API_KEY": ""}
        with serving(Featlas(home, env), package=package) as server:
            for watched in watch(chromium, server.url, **options):
                yield Bench(watched, chat, sae_of(watched))
