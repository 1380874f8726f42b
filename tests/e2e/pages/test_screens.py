"""Each screen as a person meets it: what it shows, empty, failing, loading, and by keyboard alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect
from tests.e2e.conftest import PlantedRun
from tests.e2e.crowded import busy_server, copy_home
from tests.e2e.pages.conftest import PATIENCE_MS, Watched, sae_of, watch

TOKEN_FEATURE = 7
"""Fires on exactly one token (testing/planted_sae.py)."""
DEAD_FEATURE = 8


@pytest.fixture
def features(watched: Watched) -> Page:
    page = watched.open(f"s/{sae_of(watched)}/features")
    expect(rows(page).first).to_be_visible()
    return page


@pytest.fixture
def feature(watched: Watched) -> Page:
    page = watched.open(f"s/{sae_of(watched)}/f/{TOKEN_FEATURE}")
    expect(page.get_by_role("region", name="Examples")).to_be_visible()
    return page


def rows(page: Page) -> Locator:
    return page.get_by_role("grid", name="Features").locator("[role=row][data-place]")


def shown_count(page: Page) -> int:
    """How many features match, as the page says it."""
    text = page.get_by_role("region", name="Matches").get_by_text(re.compile(r"[\d,]+ of [\d,]+ features")).inner_text()
    return int(text.split(" ")[0].replace(",", ""))


def test_the_library_leads_from_a_run_to_its_features(watched: Watched, labeled: PlantedRun):
    page = watched.open()
    card = page.get_by_role("article")
    expect(card).to_have_count(1)
    for word in ("planted", "Alive", "Dead", "L0", "FVU", "Labeled"):
        expect(card).to_contain_text(word)
    card.get_by_role("link", name=re.compile("Features")).click()
    expect(rows(page).first).to_be_visible()
    expect(page).to_have_title(re.compile("Featlas"))


def test_a_labeling_is_told_on_its_run_until_it_is_over(chromium: Browser, labeled: PlantedRun, tmp_path: Path):
    featlas = copy_home(labeled.featlas, tmp_path / "home")
    with busy_server(featlas, labeled, tmp_path, n_jobs=1) as busy:
        job = busy.ask("jobs", {"kind": "labeling", "spec": {"run": str(labeled.run), "provider": "lexical"}})
        for watched in watch(chromium, busy.url):
            of_features = watched.page.get_by_role("link", name=re.compile("Features"))
            card = watched.open().get_by_role("article").filter(has=of_features)
            expect(card).to_have_count(1)
            expect(card).to_contain_text(re.compile("queued.*Labeling"))
            busy.ask(f"jobs/{job['id']}/cancel", {})
            expect(card).not_to_contain_text("Labeling")


def test_an_empty_library_says_how_to_begin(fresh: Watched):
    page = fresh.open()
    expect(page.get_by_text("featlas demo").first).to_be_visible()
    expect(page.get_by_text("FVU")).to_have_count(0)


def test_the_form_of_an_extraction_shows_the_equal_command_and_a_mistake_where_it_is(fresh: Watched):
    page = fresh.open()
    page.get_by_role("button", name="Fill in a form").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Model").fill("no-such-folder/model")
    form.get_by_label("SAE", exact=True).fill("no-such-folder/sae")
    form.get_by_label("Texts").fill("no-such-folder/text.txt")
    expect(form.get_by_text(re.compile("--model no-such-folder/model"))).to_be_visible()
    form.get_by_role("button", name="Start").click()
    expect(page).to_have_url(re.compile(r"/jobs/\d+"))
    expect(page.get_by_role("alert")).to_contain_text("no-such-folder", timeout=PATIENCE_MS)


def test_the_list_shows_every_feature_in_order(features: Page, labeled: PlantedRun):
    n_features = len(labeled.featlas.json("features", labeled.run))
    assert shown_count(features) == n_features
    frequencies = rows(features).first
    expect(frequencies).to_contain_text("%")


def test_a_query_filters_and_its_chips_take_it_back(features: Page):
    before = shown_count(features)
    query = features.get_by_role("combobox", name="Query")
    query.fill("-is:dead -is:dense")
    query.press("Enter")
    chips = features.get_by_role("list", name="Conditions")
    expect(chips.get_by_role("listitem")).to_have_count(2)
    expect(features).to_have_url(re.compile(r"q=-is:dead"))
    during = shown_count(features)
    assert during < before
    chips.get_by_role("button").first.click()
    expect(chips.get_by_role("listitem")).to_have_count(1)
    expect(features).not_to_have_url(re.compile("is:dead"))


def test_a_query_that_cannot_be_read_is_told_beside_the_old_results(features: Page):
    query = features.get_by_role("combobox", name="Query")
    query.fill("is:deed")
    query.press("Enter")
    expect(features.get_by_role("alert")).to_contain_text("dead")
    expect(rows(features).first).to_be_visible()


def test_an_empty_result_names_the_condition_and_drops_it(features: Page):
    query = features.get_by_role("combobox", name="Query")
    query.fill("n_fires:>1e12 -is:dead")
    query.press("Enter")
    expect(features.get_by_text("No feature matches")).to_be_visible()
    features.get_by_role("button", name=re.compile("drop n_fires")).click()
    expect(rows(features).first).to_be_visible()
    assert shown_count(features) > 0


def test_a_facet_adds_its_condition(features: Page):
    features.get_by_role("complementary", name="Filters").get_by_role("button", name=re.compile("^Labeled")).click()
    expect(features).to_have_url(re.compile("is:labeled"))
    expect(features.get_by_role("list", name="Conditions")).to_contain_text("is:labeled")


def test_a_column_sorts_by_its_head(features: Page):
    head = features.get_by_role("columnheader", name=re.compile("^Max"))
    head.get_by_role("button").click()
    expect(features).to_have_url(re.compile("sort=-?max_activation"))
    expect(head).to_have_attribute("aria-sort", re.compile("ascending|descending"))


def test_brushing_a_histogram_writes_a_range_into_the_query(features: Page):
    brush = features.get_by_role("slider", name=re.compile("Density")).first
    box = brush.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    features.mouse.move(box["x"] + box["width"] * 0.3, y)
    features.mouse.down()
    features.mouse.move(box["x"] + box["width"] * 0.6, y, steps=4)
    features.mouse.move(box["x"] + box["width"] * 0.95, y, steps=4)
    features.mouse.up()
    expect(features).to_have_url(re.compile(r"q=.*density"))
    expect(features.get_by_role("list", name="Conditions")).to_contain_text("..")


def test_cards_show_the_same_features(features: Page):
    features.get_by_role("button", name="Cards").or_(features.get_by_role("radio", name="Cards")).first.click()
    expect(features.get_by_role("list", name="Features").get_by_role("listitem").first).to_be_visible()
    expect(features).to_have_url(re.compile("view=cards"))


def test_the_list_by_keyboard_alone(features: Page):
    features.keyboard.press("/")
    expect(features.get_by_role("combobox", name="Query")).to_be_focused()
    features.keyboard.type("-is:dead")
    features.keyboard.press("Enter")
    expect(features.get_by_role("list", name="Conditions")).to_contain_text("-is:dead")
    features.keyboard.press("Escape")
    rows(features).first.focus()
    features.keyboard.press("j")
    features.keyboard.press("j")
    expect(rows(features).nth(2)).to_be_focused()
    features.keyboard.press("k")
    features.keyboard.press("o")
    expect(features.get_by_role("dialog")).to_be_visible()
    features.keyboard.press("Escape")
    expect(features.get_by_role("dialog")).to_have_count(0)
    features.keyboard.press("Enter")
    expect(features).to_have_url(re.compile(r"/f/\d+"))


def test_a_feature_shows_its_numbers_with_denominators_and_intervals(feature: Page, labeled: PlantedRun):
    (row,) = [r for r in labeled.featlas.json("features", labeled.run) if r["feature_index"] == TOKEN_FEATURE]
    figures = feature.get_by_role("region", name="Figures")
    expect(figures).to_contain_text(f"{row['n_fires']:,} of")
    expect(figures).to_contain_text("–")
    figures.get_by_role("link", name="Single token").click()
    expect(feature.get_by_role("list", name="Conditions")).to_contain_text("Token > Single token")
    feature.go_back()
    expect(feature.get_by_role("main")).to_contain_text(f"#{TOKEN_FEATURE}")
    expect(feature.get_by_role("heading", level=1)).to_contain_text("the token")
    expect(feature.get_by_role("region", name="Strongest").locator(".tk").first).to_be_visible()
    expect(feature.get_by_role("region", name=re.compile("Near misses|Silent")).first).to_be_visible()


def test_next_and_previous_walk_the_result_set(watched: Watched):
    page = watched.open(f"s/{sae_of(watched)}/features?q=-is:dead&sort=feature_index")
    expect(rows(page).first).to_be_visible()
    rows(page).nth(2).dblclick()
    if "/f/" not in page.url:
        rows(page).nth(2).get_by_role("link").first.click()
    expect(page.get_by_text(re.compile(r"3 of \d+"))).to_be_visible()
    third = page.url
    page.keyboard.press("n")
    expect(page.get_by_text(re.compile(r"4 of \d+"))).to_be_visible()
    assert page.url != third
    page.keyboard.press("p")
    expect(page.get_by_text(re.compile(r"3 of \d+"))).to_be_visible()
    expect(page).to_have_url(third)


def test_a_label_is_added_rejected_and_brought_back(watched: Watched, labeled: PlantedRun):
    page = watched.open(f"s/{sae_of(watched)}/f/3")
    page.get_by_role("button", name=re.compile("^(Edit|Add|Write)")).first.click()
    form = page.get_by_role("form", name="A label of your own")
    form.get_by_label(re.compile("^Label")).fill("made by hand")
    form.get_by_role("button", name=re.compile("^Save")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("made by hand")
    labels = labeled.featlas.json("labels", "ls", labeled.run, 3)
    assert labels[0]["semantic_label"] == "made by hand"
    page.get_by_role("button", name="Reject").first.click()
    page.get_by_label(re.compile("^Why")).fill("only to see it go")
    page.get_by_label(re.compile("^Why")).press("Enter")
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("made by hand")
    assert labeled.featlas.json("labels", "ls", labeled.run, 3)[0]["reject_reason"] == "only to see it go"
    page.get_by_text(re.compile("other label")).click()
    page.get_by_role("button", name="Restore").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("made by hand")


def test_a_change_by_somebody_else_keeps_what_was_typed(watched: Watched, labeled: PlantedRun):
    page = watched.open(f"s/{sae_of(watched)}/f/4")
    page.get_by_role("button", name=re.compile("^(Edit|Add|Write)")).first.click()
    form = page.get_by_role("form", name="A label of your own")
    form.get_by_label(re.compile("^Label")).fill("typed for long")
    labeled.featlas.run("labels", "add", labeled.run, 4, "meanwhile by another")
    form.get_by_role("button", name=re.compile("^Save")).click()
    expect(form.get_by_role("alert")).to_be_visible()
    expect(form.get_by_label(re.compile("^Label"))).to_have_value("typed for long")


def test_an_example_opens_into_its_document(feature: Page):
    strongest = feature.get_by_role("region", name="Strongest")
    strongest.get_by_role("button").first.click()
    expect(strongest.get_by_text(re.compile("document", re.I)).first).to_be_visible()


def test_a_dead_feature_says_what_its_silence_excludes(watched: Watched):
    page = watched.open(f"s/{sae_of(watched)}/f/{DEAD_FEATURE}")
    expect(page.get_by_text(re.compile(r"0 of [\d,]+ tokens"))).to_be_visible()
    expect(page.get_by_text(re.compile("at most|95"))).not_to_have_count(0)


def test_outside_of_the_sae_the_nearest_feature_is_offered(watched: Watched):
    page = watched.open(f"s/{sae_of(watched)}/f/99999")
    expect(page.get_by_text(re.compile("no feature 99999"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile(r"\d+"))).not_to_have_count(0)


def test_jobs_are_listed_with_their_end_and_show_what_happened(watched: Watched):
    page = watched.open("jobs")
    expect(page.get_by_text("succeeded").first).to_be_visible()
    page.get_by_role("link", name=re.compile("extraction|1")).first.click()
    expect(page.get_by_role("region", name="Events")).to_contain_text("started")


def test_no_jobs_yet(fresh: Watched):
    page = fresh.open("jobs?state=succeeded")
    expect(page.get_by_role("row")).to_have_count(0)
    expect(page.get_by_text("No succeeded jobs")).to_be_visible()


def test_every_shortcut_is_on_the_sheet(features: Page):
    features.keyboard.press("?")
    sheet = features.get_by_role("dialog")
    for key in ("/", "j", "o", "Esc"):
        expect(sheet.locator("kbd", has_text=re.compile(f"^{re.escape(key)}")).first).to_be_visible()


def test_a_server_that_fails_is_told_with_a_way_on(watched: Watched):
    uid = sae_of(watched)
    problem = '{"type":"about:blank","title":"x","status":500,"detail":"the disk is on fire"}'

    def fail(route: Route) -> None:
        route.fulfill(status=500, content_type="application/problem+json", body=problem)

    watched.page.route("**/api/v1/saes/*/matches*", fail)
    page = watched.open(f"s/{uid}/features")
    alert = page.get_by_role("alert").filter(has_text="the disk is on fire")
    expect(alert).to_be_visible()
    page.unroute("**/api/v1/saes/*/matches*")
    alert.get_by_role("button", name=re.compile("Try again")).click()
    expect(rows(page).first).to_be_visible()


def test_a_server_that_is_gone_is_told_and_old_rows_stay(features: Page):
    features.route("**/api/v1/**", lambda route: route.abort())
    query = features.get_by_role("combobox", name="Query")
    query.fill("-is:dead")
    query.press("Enter")
    expect(features.get_by_role("alert").first).to_be_visible()


@contextmanager
def holding(page: Page, pattern: str) -> Iterator[None]:
    """Requests to these addresses get no answer until the block ends."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(pattern, hold)
    yield
    for route in held:
        route.continue_()
    page.unroute(pattern)


def test_while_the_list_loads_its_outline_shows(watched: Watched):
    with holding(watched.page, "**/api/v1/saes/*/matches?*"):
        page = watched.open(f"s/{sae_of(watched)}/features")
        expect(page.get_by_role("region", name="Matches").locator(".bone").first).to_be_visible()
    expect(rows(page).first).to_contain_text("%")


def test_while_rows_load_their_places_are_held(features: Page):
    with holding(features, "**/api/v1/saes/*/rows*"):
        features.get_by_role("grid").evaluate("(grid) => grid.scrollTo(0, grid.scrollHeight)")
        expect(rows(features).locator(".bone").first).to_be_attached()
    expect(features.locator(".bone")).to_have_count(0)


def test_an_unknown_address_says_so(watched: Watched):
    page = watched.open("nowhere/at/all")
    expect(page.get_by_role("link", name=re.compile("Library")).first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
