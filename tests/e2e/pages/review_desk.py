"""The review screen as tests sit at it: keys, what is on screen, and what the API says became of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect
from tests.e2e.command import Featlas
from tests.e2e.crowded import ask, copy_home
from tests.e2e.many import RUN
from tests.e2e.pages.conftest import Watched

from featlas.testing.chat_scripts import answer_label
from featlas.testing.scripted_chat import running_chat_server

N_TWICE = 120
"""Features up to this one have labels by two labelers."""


PRESS_AS_SOON_AS_SHOWN = """([name, key]) => {
  const shown = () => document.querySelector(`article[aria-label="${name}"]`)?.offsetParent;
  const press = () => document.dispatchEvent(new KeyboardEvent('keydown', {key}));
  const look = () => shown() ? press() : requestAnimationFrame(look);
  look();
}"""
TIME_TO_NEXT = """() => {
  window.times = [];
  const articles = () => [...document.querySelectorAll('article[aria-label^="Feature "]')];
  const shown = () => articles().find((article) => article.offsetParent)?.ariaLabel;
  document.addEventListener('keydown', () => {
    const [start, before] = [performance.now(), shown()];
    const look = () => {
      if (shown() === before) return requestAnimationFrame(look);
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.times.push(performance.now() - start);  // after the frame with the change
      requestAnimationFrame(() => port2.postMessage(0));
    };
    setTimeout(look);
  }, true);
}"""


@dataclass
class Desk:
    """The review screen of one reviewer, and the API behind it."""

    watched: Watched
    sae: str
    name: str
    """Of the reviewer; every test has its own, so that their steps do not mix."""
    on_review: Callable[[Route], None] = Route.continue_
    """What becomes of a decision on its way to the server."""

    @property
    def page(self) -> Page:
        return self.watched.page

    def api(self, path: str, body: Any = None) -> Any:
        return ask(f"{self.watched.url}api/v1/saes/{self.sae}/{path}", body)

    def open(self, search: str = "") -> Locator:
        """The screen at its first feature."""
        # From the start: a browser that is told to hold requests back lets the next one through.
        self.page.route("**/reviews*", self._meet)
        self.watched.open(f"s/{self.sae}/review{search}")
        asked = self.page.get_by_label("Your name")
        expect(self.article.or_(asked).first).to_be_visible()
        if asked.is_visible():
            asked.fill(self.name)
            self.page.keyboard.press("Enter")
        expect(self.article).to_be_visible()
        return self.article

    def _meet(self, route: Route) -> None:
        self.on_review(route)

    @property
    def article(self) -> Locator:
        return self.page.get_by_role("article", name=re.compile(r"^Feature \d+$"))

    def at(self) -> int:
        """The feature on screen."""
        return int((self.article.get_attribute("aria-label") or "").split()[-1])

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def go_on(self, *keys: str) -> int:
        """Decide by these keys; the feature that was decided about, once another one is on screen."""
        before = self.at()
        self.press(*keys)
        expect(self.page.get_by_role("article", name=f"Feature {before}", exact=True)).to_have_count(0)
        expect(self.article).to_be_visible()
        return before

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        for _ in range(200):
            if is_so():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("waited for 10 s")

    def wait_until_stored(self, n_steps: int) -> list[dict[str, Any]]:
        """The reviewer's steps that stand, oldest first."""
        for _ in range(200):
            steps = [
                step for step in self.api(f"reviews?limit=200&reviewer={self.name}")["items"] if not step["undone_at"]
            ]
            if len(steps) == n_steps:
                return steps[::-1]
            self.page.wait_for_timeout(50)
        raise AssertionError([(step["feature_index"], step["action"]) for step in steps])

    def labels(self, feature: int) -> dict[str, Any]:
        return self.api(f"features/{feature}/labels")

    def texts(self, feature: int) -> set[str]:
        """What was ever said of a feature, and not taken back."""
        said = [label for label in self.labels(feature)["items"] if label["status"] == "labeled"]
        return {label["semantic_label"] for label in said if label["reject_reason"] != "taken back"}

    def reject_all(self, reason: str) -> int:
        """Reject every candidate of the feature on screen; the next one comes after the last of them."""
        feature = self.at()
        n = self.article.get_by_role("list", name="Candidates").get_by_role("listitem").count()
        for left in range(n, 0, -1):
            self.press("r")
            expect(self.page.get_by_role("form", name="Reject")).to_be_visible()
            self.press(*reason)
            if left > 1:
                self.press("Enter")
                expect(self.page.get_by_role("form", name="Reject")).to_have_count(0)
        self.go_on("Enter")
        return feature

    def shows(self, feature: int) -> None:
        """Wait until that feature is on screen."""
        expect(self.page.get_by_role("article", name=f"Feature {feature}", exact=True)).to_be_visible()


def judgements(labels: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What people and the store have decided of a feature, without what a writer took back."""
    kept = ("id", "semantic_label", "category_label", "review_state", "reject_reason", "is_current")
    shown = [label for label in labels["items"] if label["reject_reason"] != "taken back"]
    return [tuple(label[name] for name in kept) for label in shown]


def review_twenty(desk: Desk) -> dict[str, list[int]]:
    """Four rounds of five ways to decide, by keys alone; the features by what became of them."""
    done: dict[str, list[int]] = {way: [] for way in ("accept", "edit", "write", "reject", "skip")}
    for n in range(4):
        done["accept"].append(desk.go_on("a"))
        desk.press("e")
        expect(desk.page.get_by_role("form", name="Edit the label")).to_be_visible()
        desk.press("End", *f" edited {n}")
        done["edit"].append(desk.go_on("Enter"))
        desk.press("n")
        expect(desk.page.get_by_role("form", name="A label of your own")).to_be_visible()
        desk.press(*f"written {n}", "Tab", *"Made > Here")
        done["write"].append(desk.go_on("Enter"))
        done["reject"].append(desk.reject_all("too wide"))
        done["skip"].append(desk.go_on("s"))
    return done


def label_twice(of: Featlas, home: Path) -> Featlas:
    """A copy of a run's home with labels of the offline labeler, and of a scripted model for the first features."""
    with running_chat_server(answer_label) as chat:
        env = {"OPENAI_API_KEY": "sk-desk", "FEATLAS_OPENAI_BASE_URL": chat.openai_url}
        featlas = Featlas(copy_home(of, home).home, env)
        featlas.run("label", RUN)
        asked = ("--provider", "openai", "--no-rules", "--relabel", "--query", f"feature_index:..{N_TWICE}")
        featlas.run("label", RUN, *asked)
    return featlas
