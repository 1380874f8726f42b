"""Text is on the page as it was read: every script, every grapheme whole, markup as text, and copied as it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import regex
from playwright.sync_api import Browser, Locator, Page, expect
from tests.builders.scripts_run import TEXTS, build_scripts_run
from tests.e2e.command import Featlas
from tests.e2e.pages.conftest import Watched, sae_of, watch
from tests.e2e.serving import Server, serving

NAMES = list(TEXTS)


@pytest.fixture(scope="module")
def scripts_server(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("scripts")
    build_scripts_run(home).close()
    with serving(Featlas(home), package=package) as server:
        yield server


@pytest.fixture
def odd(chromium: Browser, scripts_server: Server) -> Iterator[Watched]:
    yield from watch(chromium, scripts_server.url)


def open_example(odd: Watched, name: str, **search: str) -> tuple[Page, Locator]:
    """The page of the feature that fires in this text, and the text of its example, whole."""
    more = "".join(f"&{key}={value}" for key, value in search.items())
    page = odd.open(f"s/{sae_of(odd)}/f/{NAMES.index(name)}?range=full{more}")
    text = page.get_by_role("region", name="Strongest").locator("[data-tt]").first
    expect(text).to_be_visible()
    return page, text


@dataclass(frozen=True)
class Example:
    """A text as it was read, and where the page shows it."""

    content: str
    page: Page
    text: Locator


@pytest.fixture(scope="module", params=NAMES)
def example(request: pytest.FixtureRequest, chromium: Browser, scripts_server: Server) -> Iterator[Example]:
    """Each text in turn, opened once for all that is asked of it."""
    for odd in watch(chromium, scripts_server.url):
        yield Example(TEXTS[request.param], *open_example(odd, request.param))


def test_the_page_holds_the_text_as_it_is(example: Example):
    assert example.text.evaluate("element => element.textContent") == example.content


def test_no_mark_cuts_a_character(example: Example):
    edges = {0, *(match.end() for match in regex.finditer(r"\X", example.content))}
    marks: list[list[int]] = example.text.evaluate(
        """element => [...element.querySelectorAll('.tk')].map(mark => {
             const before = document.createRange();
             before.setStart(element, 0);
             before.setEnd(mark, 0);
             const start = [...before.toString()].length;
             return [start, start + [...mark.textContent].length];
           })"""
    )
    assert marks
    assert {place for mark in marks for place in mark} <= edges | _after_spaces(example.content)


def _after_spaces(text: str) -> set[int]:
    """A token's leading space stands before its mark."""
    return {at + 1 for at, character in enumerate(text) if character == " "}


def test_markup_is_text_and_does_nothing(odd: Watched):
    page, text = open_example(odd, "markup")
    assert "broken" not in page.title()
    assert text.locator("script, img").count() == 0


def test_nothing_reaches_out_of_its_place(example: Example):
    """A token of 2,000 characters is broken; nothing makes the page scroll sideways."""
    text = example.text
    width, shown = example.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= shown
    right = text.evaluate(
        "e => Math.max(...[...e.querySelectorAll('.tk')].flatMap(t => [...t.getClientRects()]).map(r => r.right))"
    )
    box = text.bounding_box()
    assert box is not None
    assert right <= box["x"] + box["width"] + 2


@pytest.mark.parametrize("name", ["arabic", "hebrew"])
def test_right_to_left_text_begins_at_the_right(odd: Watched, name: str):
    _, text = open_example(odd, name)
    assert text.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_what_is_copied_is_the_text_even_with_line_breaks_marked(odd: Watched):
    page, text = open_example(odd, "tabs and newlines", breaks="1")
    copied = page.evaluate(
        """element => { const selection = getSelection();
             selection.selectAllChildren(element);
             return selection.toString(); }""",
        text.element_handle(),
    )
    assert copied.strip("\n") == TEXTS["tabs and newlines"].strip("\n")


def test_the_tooltip_names_each_token_of_a_shared_character(odd: Watched):
    page, text = open_example(odd, "emoji family")
    mark = text.locator(".tk", has_text="👩").first
    mark.hover()
    tip = page.get_by_role("tooltip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text(r"\x")
    expect(tip).to_contain_text("%")


def test_marks_are_walked_with_arrow_keys_and_told(odd: Watched):
    page, text = open_example(odd, "chinese")
    peak = text.locator(".tk[data-peak]")
    peak.focus()
    page.keyboard.press("ArrowRight")
    focused = page.locator(".tk:focus")
    assert focused.get_attribute("aria-label")
    assert "of max" in str(focused.get_attribute("aria-label"))


def test_lists_show_the_same_texts_cropped(odd: Watched):
    page = odd.open(f"s/{sae_of(odd)}/features?sort=feature_index")
    grid = page.get_by_role("grid", name="Features")
    for name in ("arabic", "chinese", "devanagari"):
        row = grid.locator(f"[role=row][data-place='{NAMES.index(name)}']")
        expect(row.locator("[data-tt]")).to_be_visible()
        assert row.locator("[data-tt]").evaluate("e => e.textContent").strip() in TEXTS[name]
