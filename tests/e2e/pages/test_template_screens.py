"""Templates as a person writes them: checked and seen while one writes, saved, compared, and never lost."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.e2e.command import Featlas
from tests.e2e.pages.label_bench import Bench, at_bench

from featlas.testing.chat_scripts import answer_label


@pytest.fixture
def bench(chromium: Browser, unlabeled: Featlas, package: Path, tmp_path: Path) -> Iterator[Bench]:
    with at_bench(chromium, unlabeled, package, tmp_path / "home", answer_label) as found:
        yield found


def text_of(page: Page, name: str = "User text") -> Locator:
    return page.get_by_role("textbox", name=name)


def append(page: Page, text: str) -> None:
    text_of(page).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)


def test_a_template_is_written_checked_seen_and_saved(bench: Bench, tmp_path: Path):
    page = bench.open("templates")
    page.get_by_role("link", name="New template").click()
    page.get_by_role("textbox", name="Name").fill("mine")
    preview = page.get_by_role("region", name="Preview")
    expect(preview.get_by_role("group", name="Prompt, user")).to_contain_text("Contexts in which the feature fires")
    append(page, "Look at {tokenz}")
    check = page.get_by_role("status", name="Check")
    expect(check).to_contain_text("there is no variable {tokenz}; did you mean {tokens}?")
    expect(text_of(page)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Create")).to_be_disabled()
    for _ in "{tokenz}":
        page.keyboard.press("Backspace")
    page.get_by_role("button", name="{tokens}", exact=False).first.click()
    expect(text_of(page)).to_have_value(re.compile(r"Look at \{tokens\}$"))
    expect(check).to_contain_text("Nothing is wrong with it.")
    expect(preview.get_by_role("group", name="Prompt, user")).to_contain_text(re.compile(r"Look at - \".*fires at"))
    page.get_by_role("textbox", name="Tokens", exact=True).fill("1")
    expect(preview.get_by_role("group", name="Prompt, user")).not_to_contain_text(re.compile(r"Look at - .*\n- "))
    page.get_by_role("link", name="Jobs", exact=True).click()
    leave = page.get_by_role("dialog", name="Leave without saving")
    leave.get_by_role("button", name="Stay").click()
    expect(text_of(page)).to_have_value(re.compile(r"Look at \{tokens\}$"))
    page.keyboard.press("Control+s")
    page.wait_for_url(re.compile(r"/templates/\d+"))
    expect(page.get_by_role("status").filter(has_text=re.compile("^version 1"))).to_contain_text("saved")
    mine = bench.api("templates/mine")
    assert (mine["version"], mine["wording"]["evidence"]["n_tokens"]) == (1, 1)

    append(page, "\nBe brief.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text=re.compile("^version 2"))).to_be_visible()
    versions = page.get_by_role("region", name="Versions")
    expect(versions).to_contain_text("added: Be brief.")
    versions.get_by_role("button", name="Take this wording").click()
    expect(text_of(page)).to_have_value(re.compile(r"Look at \{tokens\}$"))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text=re.compile("^version 3"))).to_be_visible()
    assert bench.api("templates/mine")["content_hash"] == mine["content_hash"]

    with page.expect_download() as download:
        page.get_by_role("button", name="More for this template").click()
        page.get_by_role("menuitem", name="Export as JSON").click()
    file = tmp_path / "templates.json"
    download.value.save_as(file)
    page.get_by_role("button", name="More for this template").click()
    page.get_by_role("menuitem", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Templates")).to_be_visible()
    expect(page.get_by_role("listitem", name="mine")).to_have_count(0)
    page.get_by_label("File of templates").set_input_files(file)
    expect(page.get_by_role("dialog", name="Import")).to_contain_text("mine")
    page.get_by_role("dialog", name="Import").get_by_role("button", name="Close").last.click()
    page.get_by_label("File of templates").set_input_files(file)
    expect(page.get_by_role("dialog", name="Import")).to_contain_text("Nothing was imported.")
    page.get_by_role("button", name="Give those a new version").click()
    expect(page.get_by_role("dialog", name="Import")).to_contain_text("Imported:")


def test_templates_are_marked_cloned_and_made_the_default(bench: Bench):
    page = bench.open("templates")
    names = page.get_by_role("main").get_by_role("listitem")
    expect(names.first).to_contain_text("general")
    page.get_by_role("button", name="Favourite: rare").click()
    expect(page.get_by_role("button", name="Favourite: rare")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="More for rare").click()
    expect(page.get_by_role("menuitem", name="Delete…")).to_have_count(0)
    page.get_by_role("menuitem", name="Make it the default").click()
    expect(names.first).to_contain_text("rare")
    page.get_by_role("button", name="More for rare").click()
    page.get_by_role("menuitem", name="Clone…").click()
    page.get_by_role("textbox", name="Name of the copy").fill("general")
    page.get_by_role("button", name="Clone", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("exists already")
    page.get_by_role("textbox", name="Name of the copy").fill("rare for birds")
    page.get_by_role("button", name="Clone", exact=True).click()
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("rare for birds")
    page = bench.open("s/{sae}/label")
    expect(page.get_by_role("button", name="Template: rare")).to_be_visible()


def test_somebody_elses_save_is_shown_and_nothing_is_lost(bench: Bench):
    made = bench.api("templates/original/clone", {"name": "ours"})
    page = bench.open(f"templates/{made['id']}")
    append(page, "\nMine.")
    other = page.context.new_page()
    other.goto(f"{bench.watched.url}templates/{made['id']}")
    append(other, "\nTheirs.")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("status").filter(has_text=re.compile("^version 2"))).to_be_visible()
    other.close()
    page.get_by_role("button", name="Save").click()
    conflict = page.get_by_role("alert", name="Changed meanwhile")
    expect(conflict).to_contain_text("added: Theirs.")
    expect(text_of(page)).to_have_value(re.compile("Mine[.]$"))
    assert bench.api("templates/ours")["version"] == 2
    conflict.get_by_role("button", name="Save mine over it, as version 3").click()
    expect(conflict).to_have_count(0)
    assert bench.api("templates/ours")["wording"]["user_text"].endswith("Mine.")
    page.get_by_role("link", name="Templates", exact=True).first.click()
    expect(page.get_by_role("heading", name="Templates")).to_be_visible()
