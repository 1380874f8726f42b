"""The review queue by keys alone: what is stored, taken back, refused or lost, and how fast the next one comes."""

import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect
from tests.e2e.command import Featlas
from tests.e2e.crowded import copy_home
from tests.e2e.pages.accessibility import find_faults
from tests.e2e.pages.conftest import Watched, sae_of, watch
from tests.e2e.pages.review_desk import (
    PRESS_AS_SOON_AS_SHOWN,
    TIME_TO_NEXT,
    Desk,
    judgements,
    label_twice,
    review_twenty,
)
from tests.e2e.serving import Server, serving

MOST_MS_TO_NEXT = 5 * 50
"""Five times what the next feature may take, for a machine that does other things too."""


@pytest.fixture(scope="module")
def labeled_server(unlabeled: Featlas, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(label_twice(unlabeled, tmp_path_factory.mktemp("labeled") / "home"), package=package) as server:
        yield server


@pytest.fixture
def desk(chromium: Browser, labeled_server: Server, request: pytest.FixtureRequest) -> Iterator[Desk]:
    for watched in watch(chromium, labeled_server.url):
        yield Desk(watched, sae_of(watched), request.node.name.removeprefix("test_")[:40])


def test_twenty_features_are_reviewed_by_the_keyboard_alone(desk: Desk):
    desk.open()
    waiting = desk.api("queue")["ids"]
    done = review_twenty(desk)
    steps = desk.wait_until_stored(16 + sum(len(desk.texts(feature)) for feature in done["reject"]))
    assert {step["feature_index"] for step in steps} == {feature for found in done.values() for feature in found}
    for feature in done["accept"]:
        current = desk.labels(feature)["current"]
        assert (current["review_state"], current["source"] != "human") == ("accepted", True)
    for n, feature in enumerate(done["edit"]):
        labels = desk.labels(feature)
        current = labels["current"]
        assert current["semantic_label"].endswith(f" edited {n}")
        assert (current["source"], current["created_by"]) == ("human", desk.name)
        assert current["category_label"] in {label["category_label"] for label in labels["items"][1:]}
    for n, feature in enumerate(done["write"]):
        current = desk.labels(feature)["current"]
        assert (current["semantic_label"], current["category_label"]) == (f"written {n}", "Made > Here")
        assert current["evidence_run"] == 1
    for feature in done["reject"]:
        labels = desk.labels(feature)
        assert labels["current"] is None
        judged = [label for label in labels["items"] if label["status"] == "labeled"]
        assert {(label["review_state"], label["reject_reason"]) for label in judged} == {("rejected", "too wide")}
    queue = desk.api(f"queue?reviewer={desk.name}")
    assert queue["ids"] == waiting[20:]
    assert (queue["n_skipped"], queue["progress"]["n_reviewed"]) == (4, 16)
    expect(desk.page.get_by_role("group", name="Progress")).to_contain_text(f"16 of {16 + len(waiting) - 20} done")
    expect(desk.page.get_by_role("group", name="Progress")).to_contain_text(re.compile(r"[\d.]+ a minute"))


def test_undo_goes_back_all_the_way_and_over_a_reload(desk: Desk):
    desk.open()
    waiting = desk.api("queue")["ids"]
    before = {feature: judgements(desk.labels(feature)) for feature in waiting[:20]}
    done = review_twenty(desk)
    steps = desk.wait_until_stored(16 + sum(len(desk.texts(feature)) for feature in done["reject"]))
    for step in steps[:-7:-1]:
        desk.press("u")
        desk.shows(step["feature_index"])
    desk.page.reload()
    expect(desk.article).to_be_visible()
    for step in steps[-7::-1]:
        desk.press("u")
        desk.shows(step["feature_index"])
    desk.wait_until_stored(0)
    assert {feature: judgements(desk.labels(feature)) for feature in waiting[:20]} == before
    assert desk.api(f"queue?reviewer={desk.name}")["ids"] == waiting
    assert desk.at() == waiting[0]
    desk.press("u")
    expect(desk.page.get_by_role("alert")).to_contain_text("Nothing is left to take back")


def test_a_step_that_was_not_sent_yet_is_taken_back_too(desk: Desk):
    desk.open()
    held: list[Route] = []
    desk.on_review = held.append
    first, second = desk.go_on("a"), desk.go_on("a")
    desk.press("u")
    desk.shows(second)
    held.pop().continue_()
    (step,) = desk.wait_until_stored(1)
    assert step["feature_index"] == first
    assert held == []


def test_somebody_else_was_faster(desk: Desk):
    desk.open()
    first = desk.at()
    seen = desk.labels(first)
    other = {"action": "write", "reviewer": "Bo", "semantic_label": "what Bo says"}
    desk.api(f"features/{first}/reviews", other)
    desk.press("a")
    alert = desk.page.get_by_role("alert")
    expect(alert).to_contain_text(f"Somebody else changed #{first} meanwhile")
    expect(alert).to_contain_text("In force now: “what Bo says”, accepted")
    desk.shows(first)
    assert judgements(desk.labels(first))[1:] == [(*judged[:-1], False) for judged in judgements(seen)]
    desk.page.wait_for_timeout(600)  # a key that comes sooner was meant for the feature before
    desk.press("e")
    expect(desk.page.get_by_role("textbox", name="Label", exact=True)).to_have_value("what Bo says")
    desk.press("End", *", says Ada")
    desk.go_on("Enter")
    desk.wait_until_stored(1)
    assert desk.labels(first)["current"]["semantic_label"] == "what Bo says, says Ada"
    expect(alert).to_have_count(0)


def test_what_somebody_has_judged_since_stays_and_the_step_before_can_go(desk: Desk):
    desk.open()
    first, second = desk.go_on("a"), desk.go_on("a")
    accepted = desk.wait_until_stored(2)[1]["label_id"]
    desk.api(f"features/{second}/reviews", {"action": "reject", "reviewer": "Bo", "label_id": accepted, "reason": "no"})
    desk.press("u")
    expect(desk.page.get_by_role("alert")).to_contain_text("somebody has judged that label since")
    desk.press("u")
    desk.shows(first)
    expect(desk.page.get_by_role("alert")).to_have_count(0)
    assert [step["feature_index"] for step in desk.wait_until_stored(1)] == [second]


def test_what_was_written_comes_back_when_it_cannot_be_stored(desk: Desk):
    desk.open()
    desk.on_review = Route.abort
    first = desk.at()
    desk.press("n")
    desk.press(*"my own words", "Enter")
    expect(desk.page.get_by_role("alert")).to_contain_text("A decision was not stored.")
    desk.shows(first)
    expect(desk.page.get_by_role("textbox", name="Label", exact=True)).to_have_value("my own words")
    desk.on_review = Route.continue_
    desk.go_on("Enter")
    desk.wait_until_stored(1)
    assert desk.labels(first)["current"]["semantic_label"] == "my own words"
    expect(desk.page.get_by_role("alert")).to_have_count(0)


def test_all_that_was_written_comes_back_one_after_the_other(desk: Desk):
    desk.open()
    held: list[Route] = []
    desk.on_review = held.append
    words = desk.page.get_by_role("textbox", name="Label", exact=True)
    features = []
    for text in ("one", "two"):
        desk.press("n")
        words.fill(text)
        features.append(desk.go_on("Enter"))
    for n in range(2):
        desk.wait_for(lambda n=n: len(held) > n)
        held[n].abort()
    desk.on_review = Route.continue_
    for text, feature in zip(("one", "two"), features, strict=True):
        desk.shows(feature)
        expect(words).to_have_value(text)
        desk.go_on("Enter")
    steps = desk.wait_until_stored(2)
    assert [(step["feature_index"], step["semantic_label"]) for step in steps] == list(
        zip(features, ("one", "two"), strict=True)
    )


def test_all_that_failed_is_tried_again_at_once(desk: Desk):
    desk.open()
    waiting = desk.api("queue")["ids"]
    held: list[Route] = []
    desk.on_review = held.append
    for key in "asa":
        desk.go_on(key)
    for n in range(3):  # one is sent after the other
        desk.wait_for(lambda n=n: len(held) > n)
        held[n].fulfill(status=503, json={"title": "Unavailable", "detail": "the store is full"})
    alert = desk.page.get_by_role("alert")
    expect(alert).to_contain_text("3 decisions were not stored")
    expect(alert).to_contain_text("the store is full")
    desk.on_review = Route.continue_
    desk.page.get_by_role("button", name="Try again").click()
    desk.shows(waiting[3])
    found = [(step["feature_index"], step["action"]) for step in desk.wait_until_stored(3)]
    assert found == list(zip(waiting[:3], ("accept", "skip", "accept"), strict=True))


def test_a_key_that_was_meant_for_another_feature_decides_nothing(desk: Desk):
    desk.open()
    held: list[Route] = []
    desk.on_review = held.append
    first = desk.go_on("a")
    desk.page.evaluate(PRESS_AS_SOON_AS_SHOWN, [f"Feature {first}", "s"])
    held.pop().abort()
    desk.shows(first)
    expect(desk.page.get_by_role("alert")).to_contain_text("accept")
    desk.page.wait_for_timeout(700)
    assert (desk.at(), held) == (first, [])
    desk.on_review = Route.continue_
    desk.go_on("s")


def test_a_failure_does_not_take_the_form_away(desk: Desk):
    desk.open()
    held: list[Route] = []
    desk.on_review = held.append
    first = desk.go_on("a")
    second = desk.at()
    desk.press("n", *"half a thou")
    held.pop().abort()
    expect(desk.page.get_by_role("alert")).to_contain_text(f"#{first}")
    assert desk.at() == second
    desk.press(*"ght")
    expect(desk.page.get_by_role("textbox", name="Label", exact=True)).to_have_value("half a thought")
    desk.on_review = Route.continue_
    desk.press("Enter")
    desk.shows(first)
    (step,) = desk.wait_until_stored(1)
    assert (step["feature_index"], step["semantic_label"]) == (second, "half a thought")


def test_who_has_left_the_screen_is_told_of_a_failure_too(desk: Desk):
    desk.open()
    held: list[Route] = []
    desk.on_review = held.append
    first = desk.go_on("a")
    desk.press("g", "l")
    expect(desk.page.get_by_role("heading", name="Library")).to_be_visible()
    held.pop().abort()
    expect(desk.page.get_by_role("alert")).to_contain_text("A decision of your review was not stored.")
    desk.on_review = Route.continue_
    desk.page.get_by_role("link", name="Back to the review").click()
    desk.shows(first)
    desk.page.get_by_role("button", name="Try again").click()
    assert [step["feature_index"] for step in desk.wait_until_stored(1)] == [first]


def test_keys_mean_letters_in_a_field_and_forms_are_left_by_esc(desk: Desk):
    desk.open()
    first = desk.at()
    desk.press("n", *"a s u f r 1 j", "Escape")
    expect(desk.page.get_by_role("form")).to_have_count(0)
    desk.press("/", *"is:machine a s")
    expect(desk.page.get_by_role("combobox", name="Query")).to_have_value("is:machine a s")
    desk.press("Escape", "Escape", "Escape")
    assert desk.at() == first
    desk.press("e")
    desk.page.get_by_role("main").focus()
    desk.press("a", "s")  # a form is open: nothing is decided past it
    expect(desk.page.get_by_role("form", name="Edit the label")).to_be_visible()
    desk.go_on("x")
    (step,) = desk.wait_until_stored(1)
    assert (step["feature_index"], step["action"]) == (first, "write")


def test_a_candidate_is_chosen_by_its_number(desk: Desk):
    feature = next(feature for feature in desk.api("queue")["ids"] if len(desk.texts(feature)) == 2)
    desk.open(f"?at={feature}")
    candidates = desk.article.get_by_role("list", name="Candidates").get_by_role("listitem")
    texts = [text.splitlines()[1] for text in candidates.all_inner_texts()]
    desk.press("2")
    expect(candidates.nth(1).get_by_role("button").first).to_have_attribute("aria-pressed", "true")
    expect(desk.page.locator("#live")).to_contain_text(f"Chosen: “{texts[1]}”")
    desk.go_on("a")
    desk.wait_until_stored(1)
    assert desk.labels(feature)["current"]["semantic_label"] == texts[1]


def test_reasons_and_categories_are_offered(desk: Desk):
    desk.open()
    desk.reject_all("too wide")
    desk.press("r", "ArrowDown")
    offered = desk.page.get_by_role("option")
    expect(offered).to_have_text(["too wide"])
    desk.press("ArrowDown", "Enter")
    expect(desk.page.get_by_role("combobox", name=re.compile("wrong"))).to_have_value("too wide")
    desk.press("Escape", "n", "Tab", *"Tok")
    expect(offered.first).to_contain_text("Token")
    desk.press("ArrowDown", "Tab")
    expect(desk.page.get_by_role("combobox", name="Category")).to_have_value(re.compile("^Token"))


def test_forms_and_messages_are_accessible(desk: Desk):
    desk.open()
    desk.go_on("a")
    desk.press("n", "Tab", *"Tok")
    expect(desk.page.get_by_role("option").first).to_be_visible()
    assert find_faults(desk.page) == []
    desk.press("Escape", "Escape", "r")
    expect(desk.page.get_by_role("form", name="Reject")).to_be_visible()
    assert find_faults(desk.page) == []
    desk.press("Escape")
    expect(desk.page.get_by_role("form")).to_have_count(0)
    desk.on_review = Route.abort
    desk.press("a")
    expect(desk.page.get_by_role("alert")).to_be_visible()
    assert find_faults(desk.page) == []


def test_looking_ahead_decides_nothing_and_the_address_leads_back(desk: Desk):
    desk.open()
    waiting = desk.api("queue")["ids"]
    desk.press("j", "ArrowRight", "j", "k")
    desk.shows(waiting[2])
    expect(desk.page).to_have_url(re.compile(rf"\bat={waiting[2]}\b"))
    desk.press("o")
    expect(desk.page.get_by_role("region", name="Examples")).to_be_visible()
    expect(desk.page).to_have_url(re.compile(rf"/f/{waiting[2]}\b"))
    desk.page.go_back()
    desk.shows(waiting[2])
    desk.press("ArrowLeft", "ArrowLeft")
    desk.shows(waiting[0])
    desk.wait_until_stored(0)


def test_a_favourite_is_starred_and_decided_about_in_one_go(desk: Desk):
    desk.open()
    first = desk.at()
    desk.press("f")
    expect(desk.article.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    desk.go_on("a")
    desk.wait_until_stored(1)
    labels = desk.labels(first)
    assert (labels["is_favorite"], labels["current"]["review_state"]) == (True, "accepted")
    expect(desk.page.get_by_role("alert")).to_have_count(0)


def test_the_query_and_the_order_choose_the_queue(desk: Desk):
    desk.open("?q=category:Token&order=query")
    expected = desk.api("queue?q=category:Token&order=query")["ids"]
    assert desk.at() == expected[0]
    desk.press("j")
    desk.shows(expected[1])
    desk.page.get_by_role("button", name="Doubtful first").click()
    first = desk.api("queue?q=category:Token")["ids"][0]
    desk.shows(first)
    desk.page.get_by_role("button", name="Remove category:Token").click()
    first = desk.api("queue")["ids"][0]
    desk.shows(first)


def test_a_queue_that_is_done_says_what_to_do_next(desk: Desk):
    first, second = desk.api("queue")["ids"][:2]
    desk.open(f"?q=feature_index:{first}+OR+feature_index:{second}")
    desk.go_on("a")
    desk.press("a")
    expect(desk.page.get_by_role("heading", name="Queue done")).to_be_visible()
    expect(desk.page.get_by_role("button", name=re.compile("Write labels for the"))).to_be_visible()
    desk.press("u")
    expect(desk.article).to_be_visible()
    desk.press("a")
    desk.page.get_by_role("button", name="Review all that waits").click()
    expect(desk.article).to_be_visible()


def test_without_any_label_it_leads_to_the_labeler(bare: Watched):
    bare.page.add_init_script("localStorage.setItem('featlas.reviewer', 'Ada')")
    page = bare.open(f"s/{sae_of(bare)}/review")
    expect(page.get_by_role("heading", name="There are no labels to review yet")).to_be_visible()
    page.get_by_role("link", name="Label features").click()
    expect(page).to_have_url(re.compile("/label"))


@pytest.fixture
def bare(chromium: Browser, unlabeled: Featlas, package: Path, tmp_path: Path) -> Iterator[Watched]:
    with serving(copy_home(unlabeled, tmp_path / "home"), package=package) as server:
        yield from watch(chromium, server.url)


def test_the_list_and_a_features_page_lead_into_the_queue(desk: Desk):
    second = desk.api("queue?q=is:labeled")["ids"][1]
    desk.page.add_init_script(f"localStorage.setItem('featlas.reviewer', '{desk.name}')")
    page = desk.watched.open(f"s/{desk.sae}/features?q=category:Token")
    page.get_by_role("region", name="Matches").get_by_role("link", name="Review").click()
    expect(page).to_have_url(re.compile("/review.*q=category:Token"))
    expect(desk.article).to_be_visible()
    page = desk.watched.open(f"s/{desk.sae}/f/{second}")
    page.get_by_role("region", name="Label", exact=True).get_by_role("link", name="Review").click()
    expect(page.get_by_role("article", name=f"Feature {second}", exact=True)).to_be_visible()


def test_the_name_is_asked_once_and_can_be_changed(desk: Desk):
    desk.open()
    desk.page.reload()
    expect(desk.article).to_be_visible()
    desk.page.get_by_role("button", name=f"Reviewing as {desk.name}").click()
    desk.page.get_by_label("Your name").fill("Cleo")
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("button", name="Reviewing as Cleo")).to_be_visible()
    expect(desk.page.get_by_role("main").locator("[aria-busy=true]")).to_have_count(0)
    desk.go_on("s")
    desk.wait_for(lambda: [step["action"] for step in desk.api("reviews?reviewer=Cleo")["items"]] == ["skip"])
    desk.wait_until_stored(0)


def test_ones_steps_are_listed_and_lead_back(desk: Desk):
    desk.open()
    first, second = desk.go_on("a"), desk.go_on("s")
    desk.wait_until_stored(2)
    desk.press("u")
    desk.shows(second)
    desk.wait_until_stored(1)
    desk.page.get_by_role("button", name="Your steps").click()
    steps = desk.page.get_by_role("dialog").get_by_role("listitem")
    expect(steps).to_contain_text([re.compile(rf"#{second}skipped.*taken back"), re.compile(rf"#{first}accepted")])
    steps.nth(1).get_by_role("button").click()
    desk.shows(first)


def test_every_key_is_in_the_sheet_and_on_its_control(desk: Desk):
    desk.open()
    for name, key in {"Accept": "a", "Edit": "e", "Write": "n", "Reject": "r", "Skip": "s", "Undo": "u"}.items():
        button = desk.article.get_by_role("group", name="Decide").get_by_role("button", name=name)
        assert (button.get_attribute("title") or "").endswith(f"({key})")
    desk.press("?")
    sheet = desk.page.get_by_role("dialog")
    for key in ("1-9", "a", "e", "n", "r", "s", "u", "j", "k", "→", "←", "f", "o", "g r"):
        for part in key.split(" "):
            expect(sheet.locator("kbd", has_text=re.compile(f"^{re.escape(part)}$")).first).to_be_visible()


def test_the_next_feature_is_there_at_once(desk: Desk):
    desk.open()
    desk.page.wait_for_timeout(1500)
    desk.page.evaluate(TIME_TO_NEXT)
    for key in ("a", "s", "j", "k") * 4:
        desk.press(key)
        desk.page.wait_for_timeout(400)
    times = desk.page.evaluate("window.times")
    assert len(times) == 16
    assert statistics.median(times) < MOST_MS_TO_NEXT, times
