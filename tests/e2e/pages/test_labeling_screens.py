"""Labeling by language models as a person does it: from a query to labels, retries, comparisons and templates."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect
from tests.e2e.command import Featlas
from tests.e2e.pages.accessibility import find_faults_at_all_sizes
from tests.e2e.pages.label_bench import JOB_MS, Bench, at_bench

from featlas.testing.chat_scripts import ChatRequest, Refuse, Status, Step, answer_label, answer_mixed, delayed

QUERY, LONG_QUERY = "density:1e-3..3e-2", "density:1e-3.."


@pytest.fixture
def bench(chromium: Browser, unlabeled: Featlas, package: Path, tmp_path: Path) -> Iterator[Bench]:
    with at_bench(chromium, unlabeled, package, tmp_path / "home", answer_mixed) as found:
        yield found


def wanted(bench: Bench, **spec: object) -> dict[str, Any]:
    """The plan behind the page's numbers."""
    return bench.api("labelings/plan", {"spec": {"run": "many", "provider": "openai", **spec}})


def takes(page: Page) -> Locator:
    return page.get_by_role("region", name="What it takes")


def write_query(page: Page, query: str) -> None:
    page.get_by_role("combobox", name="Query").fill(query)
    page.keyboard.press("Enter")


def read_to_the_end(table: Locator) -> int:
    """Scroll an endless table until nothing more comes; how many rows it has."""
    for _ in range(40):
        table.evaluate("(box) => box.scrollTo({top: box.scrollHeight})")
        table.page.wait_for_timeout(150)
        if table.get_attribute("aria-rowcount") != "-1":
            break
    return int(table.get_attribute("aria-rowcount") or 0) - 1  # its head


def test_a_whole_job_from_a_query_to_labels(bench: Bench):
    page = bench.open(f"s/{{sae}}/features?q={LONG_QUERY}")
    page.get_by_role("link", name="Label…").click()
    expect(page.get_by_role("heading", name="Label", exact=True)).to_be_visible()
    plan = wanted(bench, query=LONG_QUERY)
    n = plan["n_features"]
    assert n > 100
    expect(takes(page).get_by_text(f"{n} features to label")).to_be_visible()
    expect(takes(page)).to_contain_text(f"{plan['n_skipped']['flagged']} more have a flag")
    expect(takes(page).locator("pre, code").last).to_contain_text(f"--query {LONG_QUERY}")
    page.get_by_role("checkbox", name="Rules first").uncheck()
    page.get_by_text("More: pace, answers, prices").click()
    page.get_by_role("textbox", name="Calls at the same time").fill("24")
    for word in ("--no-rules", "--concurrency 24"):
        expect(takes(page).locator("code").last).to_contain_text(word)

    takes(page).get_by_role("button", name="Dry run 5").click()
    dry = page.get_by_role("region", name="Dry run")
    expect(dry.get_by_role("listitem")).to_have_count(5, timeout=JOB_MS)
    expect(dry).to_contain_text(re.compile(r"\d+ calls, [\d,]+ tokens in, \d+ out, \$0\.00"))
    expect(dry).to_contain_text("Measured by such answers")
    expect(takes(page)).to_contain_text("measured by earlier answers")
    assert bench.api(f"saes/{bench.sae}/features?q=is:labeled")["n_matches"] == 0

    takes(page).get_by_role("button", name="Start").click()
    job = bench.job_on_screen()
    counts = bench.api(f"labelings/{job}")["counts"]
    assert counts["n_labeled"] + counts["n_failed"] == n
    assert counts["n_failed"] > 0
    for name, number in (("Labeled", "n_labeled"), ("Failed", "n_failed"), ("Abstained", "n_abstained")):
        expect(bench.figure("Counts", name)).to_have_text(str(counts[number]))
    expect(bench.figure("Counts", "Spent")).to_have_text(re.compile(r"^\$0\.\d+$"))
    table = page.get_by_role("table", name="Results")
    assert read_to_the_end(table) == n

    failures = page.get_by_role("region", name="Failures")
    n_refused = counts["n_by_cause"]["refused"]
    expect(failures).to_contain_text("I'm sorry, but I can't help with that.")
    failures.get_by_role("button", name=re.compile("The model refused")).click()
    expect(table).to_have_attribute("aria-rowcount", str(n_refused + 1))
    expect(table.get_by_role("row").nth(1)).to_contain_text("failed: the model refused")

    bench.chat.script = answer_label
    failures.get_by_role("button", name=f"Retry these {counts['n_failed']}").click()
    expect(page).not_to_have_url(re.compile(f"/jobs/{job}$"))
    again = bench.job_on_screen()
    expect(bench.figure("Counts", "Labeled")).to_have_text(str(counts["n_failed"]))
    page.get_by_role("link", name=f"job {job}").click()
    expect(page.get_by_role("region", name="Failures")).to_contain_text("All of these have a label by now.")
    assert bench.api(f"labelings/{job}")["counts"]["n_left_failed"] == 0
    assert bench.api(f"labelings/{again}")["counts"]["n_failed"] == 0


def test_two_jobs_are_compared_and_every_question_can_be_read(bench: Bench):
    bench.chat.script = answer_label
    first = bench.label(query=QUERY)
    second = bench.label(query=QUERY, relabel=True, template="original", budget_tokens=20_000)
    page = bench.open(f"jobs/{second}")
    expect(page.get_by_role("status").filter(has_text="The budget is reached")).to_contain_text("not asked about")
    left = bench.api(f"jobs/{second}")["result"]["n_left"]
    page.get_by_role("link", name="Go on with another budget").click()
    expect(page.get_by_role("checkbox", name="Also those that have a label")).to_be_checked()
    expect(page.get_by_role("textbox", name="Most tokens")).to_have_value("")
    page.go_back()

    page.get_by_role("button", name="Compare with…").click()
    dialog = page.get_by_role("dialog", name=f"Compare job {second} with")
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    dialog.get_by_role("button", name=re.compile(f"#{first}")).click()
    found = bench.api(f"labelings/compare?a={second}&b={first}&which=all&limit=1")
    assert found["n_only_b"] == left > 0
    expect(page.get_by_text(f"Both answered {found['n_both']} features")).to_be_visible()
    table = page.get_by_role("table", name="Features")
    page.get_by_role("button", name=re.compile("^all")).click()
    expect(page).to_have_url(re.compile("which=all"))
    assert read_to_the_end(table) == found["n_both"] + found["n_only_b"]
    page.get_by_role("button", name=re.compile("^same")).click()
    expect(page.get_by_text("They agree on no feature.")).to_be_visible()
    page.get_by_role("button", name=re.compile("^different")).click()

    both = page.get_by_role("row").filter(has=page.get_by_role("button", name=re.compile("Question and answer A")))
    both.first.get_by_role("button", name=re.compile("Question and answer A")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("group", name="The answer, word for word")).to_contain_text("semantic_label")
    expect(dialog.get_by_role("group", name="Question, user")).to_contain_text("Analyze this neural network feature")
    dialog.get_by_role("button", name="JSON").click()
    expect(dialog.get_by_role("group", name="Question, JSON")).to_contain_text('"model": "gpt-4o-mini"')
    page.keyboard.press("Escape")

    both.first.get_by_role("link").click()
    label = page.get_by_role("region", name="Label").get_by_role("article").first
    expect(label).to_contain_text("openai, gpt-4o-mini")
    expect(label).to_contain_text("template original, version 1")
    expect(label).to_contain_text(re.compile(r"[\d,]+ tokens in, \d+ out · \$0\.00"))
    label.get_by_role("button", name="Question and answer").click()
    expect(page.get_by_role("dialog").get_by_role("group", name="Question, user")).to_be_visible()


def test_results_come_in_while_the_job_runs_and_it_can_be_paused(bench: Bench):
    bench.chat.script = delayed(answer_label, 1)
    job = bench.api("jobs", {"kind": "labeling", "spec": {"run": "many", "provider": "openai", "rules": False}})["id"]
    page = bench.open(f"jobs/{job}")
    table = page.get_by_role("table", name="Results")
    expect(table.get_by_role("row").nth(3)).to_contain_text("label of", timeout=JOB_MS)
    expect(page.get_by_role("progressbar", name="asking")).to_be_visible()
    expect(page.get_by_role("region", name="Progress")).to_contain_text(re.compile(r"features/s · .* left"))
    newest = table.get_by_role("row").nth(1).inner_text()
    expect(table.get_by_role("row").nth(1)).not_to_contain_text(newest.split("\n")[0])
    page.get_by_role("main").get_by_role("button", name=f"Pause job {job}").click()
    expect(page.get_by_role("main").get_by_text("paused", exact=True).first).to_be_visible(timeout=JOB_MS)
    bench.chat.script = answer_label
    page.get_by_role("main").get_by_role("button", name=f"Resume job {job}").click()
    bench.job_on_screen()
    n = wanted(bench, relabel=True)["n_features"]
    expect(bench.figure("Counts", "Labeled")).to_have_text(str(n))
    assert read_to_the_end(table) == n


def test_the_exact_prompt_of_any_feature_is_shown_as_it_is_sent(bench: Bench):
    bench.chat.script = answer_label
    page = bench.open(f"s/{{sae}}/label?q={QUERY}&rules=off")
    prompt = page.get_by_role("region", name="Prompt")
    user = prompt.get_by_role("group", name="Prompt, user")
    expect(user).to_contain_text("Contexts in which it fires")
    first = user.inner_text()
    number = prompt.get_by_role("textbox", name="Feature whose prompt is shown")
    shown = int(number.input_value())
    page.keyboard.press("n")
    expect(number).not_to_have_value(str(shown))
    expect(user).not_to_have_text(first)
    page.keyboard.press("p")
    expect(number).to_have_value(str(shown))
    prompt.get_by_role("button", name="JSON").click()
    sent = json.loads(prompt.get_by_role("group", name="Prompt, JSON").inner_text())
    assert sent["user"].strip() == first.strip()
    takes(page).get_by_role("button", name="Dry run 5").click()  # which begins with the feature shown first
    expect(page.get_by_role("region", name="Dry run").get_by_role("listitem")).to_have_count(5, timeout=JOB_MS)
    assert (sent["system"], sent["user"]) in [(asked.system, asked.user) for asked in bench.chat.requests]
    other = wanted(bench, query=QUERY)["sample"][3]
    number.fill(str(other))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"at={other}"))
    prompt.get_by_role("link", name="its page").click()
    expect(page.get_by_role("region", name="Examples")).to_be_visible()


def test_choices_stay_in_the_address_and_what_is_wrong_is_said(bench: Bench):
    page = bench.open("s/{sae}/label")
    expect(takes(page)).to_contain_text("features to label")
    write_query(page, "is:deed")
    expect(page.get_by_role("alert").filter(has_text="unknown state")).to_be_visible()
    expect(takes(page)).to_contain_text("The query cannot be read")
    expect(takes(page).get_by_role("button", name="Start")).to_be_disabled()
    write_query(page, "n_fires:>1e12")
    expect(takes(page)).to_contain_text("Nothing to label")
    expect(takes(page).get_by_role("button", name="Start")).to_be_disabled()
    page.get_by_role("button", name="Clear the query").click()
    expect(page).to_have_url(re.compile(r"all=1"))
    expect(takes(page)).to_contain_text("features to label")

    page.get_by_role("textbox", name="Most dollars").fill("0.001")
    expect(takes(page)).to_contain_text("The budget ends it after about")
    page.get_by_role("textbox", name="Most tokens").fill("many")
    expect(page.get_by_text("expected a whole number")).to_be_visible()
    page.get_by_text("More: pace, answers, prices").click()
    page.get_by_role("textbox", name="Calls a minute").fill("120")
    page.get_by_role("button", name="Template: general").click()
    page.get_by_role("menuitemradio", name=re.compile("^rare")).click()
    expect(takes(page)).to_contain_text("template rare version 1")
    page.get_by_role("textbox", name="Model").fill("house-model")
    expect(takes(page).get_by_role("alert")).to_contain_text("no price is known of 'house-model'")
    page.get_by_role("textbox", name="Price in").fill("1")
    page.get_by_role("textbox", name="Price out").fill("2")
    expect(takes(page).get_by_role("alert")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("textbox", name="Calls a minute")).to_have_value("120")
    command = takes(page).locator("code").last
    for words in (
        "--model house-model",
        "--template rare",
        "--budget 0.001",
        "--requests-per-minute 120",
        "--price-out 2",
    ):
        expect(command).to_contain_text(words)


def test_a_provider_that_is_not_ready_says_what_it_takes(bench: Bench):
    page = bench.open("s/{sae}/label")
    page.get_by_role("button", name=re.compile("^Anthropic")).click()
    expect(page.get_by_text("set ANTHROPIC_API_KEY in the environment")).to_be_visible()
    expect(page.get_by_text("export ANTHROPIC_API_KEY=…")).to_be_visible()
    expect(takes(page)).to_contain_text("is not ready")
    expect(takes(page).get_by_role("button", name="Start")).to_be_disabled()
    expect(page.get_by_role("button", name="Test")).to_be_disabled()
    page.get_by_role("button", name=re.compile("^Compatible")).click()
    expect(takes(page)).to_contain_text("Name the model")
    page.get_by_role("textbox", name="Model").fill("tiny")
    expect(takes(page)).to_contain_text("features to label")
    page.get_by_role("button", name=re.compile("^OpenAI")).click()
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("It keeps to the JSON schema.")).to_be_visible()
    bench.chat.stop()
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("alert").filter(has_text="OpenAI did not answer.")).to_be_visible()


def test_the_offline_labeler_is_started_from_the_same_place(bench: Bench):
    page = bench.open("s/{sae}/label")
    write_query(page, QUERY)
    page.get_by_role("button", name=re.compile("^No model")).click()
    expect(takes(page)).to_contain_text("features match")
    takes(page).get_by_role("button", name="Start").click()
    job = bench.job_on_screen()
    counts = bench.api(f"labelings/{job}")["counts"]
    expect(bench.figure("Counts", "Labeled")).to_have_text(str(counts["n_labeled"]))
    expect(bench.figure("Counts", "Spent")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^abstained")).click()
    expect(page.get_by_role("table", name="Results").get_by_role("row").nth(1)).to_contain_text("no clear pattern")
    page.get_by_role("button", name=re.compile("^linted")).click()
    table = page.get_by_role("table", name="Results")
    if counts["n_linted"]:
        expect(table).to_have_attribute("aria-rowcount", str(counts["n_linted"] + 1))
    else:
        expect(page.get_by_text("None of them is linted.")).to_be_visible()


def refuse_all(request: ChatRequest) -> Step:
    return Refuse()


def know_no_key(request: ChatRequest) -> Step:
    return Status(401, message="no such key")


def test_a_key_that_is_not_accepted_stops_the_job_and_it_goes_on_when_that_is_mended(bench: Bench):
    bench.chat.script = know_no_key
    page = bench.open(f"s/{{sae}}/label?q={QUERY}&rules=off")
    takes(page).get_by_role("button", name="Start").click()
    page.wait_for_url("**/jobs/*")
    failed = page.get_by_role("main").get_by_role("alert")
    expect(failed).to_contain_text("no such key", timeout=JOB_MS)
    expect(bench.figure("Counts", "Labeled")).to_have_text("0")
    assert len(bench.chat.requests) <= 5  # those that were in flight
    bench.chat.script = answer_label
    page.get_by_role("main").get_by_role("button", name=re.compile("^Resume")).click()
    bench.job_on_screen()
    expect(failed).to_have_count(0)
    expect(bench.figure("Counts", "Labeled")).to_have_text(str(wanted(bench, query=QUERY, relabel=True)["n_features"]))


def test_failing_requests_keep_what_was_there_and_offer_to_try_again(bench: Bench):
    page = bench.open("s/{sae}/label")
    expect(takes(page)).to_contain_text("features to label")
    before = takes(page).get_by_text("features to label").inner_text()
    problem = json.dumps({"title": "Bad", "status": 500, "detail": "the disk is gone"})

    def fail(route: Route) -> None:
        route.fulfill(status=500, content_type="application/problem+json", body=problem)

    page.route("**/labelings/plan", fail)
    write_query(page, QUERY)
    expect(takes(page).get_by_role("alert")).to_contain_text("the disk is gone")
    expect(takes(page)).to_contain_text(before)
    expect(takes(page).get_by_role("button", name="Start")).to_be_disabled()
    page.unroute("**/labelings/plan")
    takes(page).get_by_role("button", name="Try again").click()
    expect(takes(page).get_by_role("alert")).to_have_count(0)
    page.route("**/api/v1/jobs", fail)
    takes(page).get_by_role("button", name="Start").click()
    expect(takes(page).get_by_role("alert")).to_contain_text("The labeling did not start.")
    page.unroute("**/api/v1/jobs")

    bench.chat.script = refuse_all
    job = bench.label(query=QUERY)
    page.route(re.compile(r"/labelings/\d+/labels"), fail)
    page = bench.open(f"jobs/{job}")
    expect(page.get_by_role("alert").filter(has_text="The results could not be read.")).to_be_visible()
    page.unroute(re.compile(r"/labelings/\d+/labels"))
    page.get_by_role("region", name="Results").get_by_role("button", name="Try again").click()
    expect(page.get_by_role("table", name="Results")).to_be_visible()
    page.route("**/api/v1/templates", fail)
    page = bench.open("templates")
    expect(page.get_by_role("alert").filter(has_text="The templates could not be read.")).to_be_visible()


def test_dialogs_states_and_a_running_job_are_accessible(
    chromium: Browser, unlabeled: Featlas, package: Path, tmp_path: Path
):
    with at_bench(chromium, unlabeled, package, tmp_path / "home", answer_mixed, reduced_motion="reduce") as bench:
        job = bench.label(query=QUERY)
        other = bench.label(query=QUERY, relabel=True, template="original", budget_tokens=15_000)
        found: dict[str, list[str]] = {}
        page = bench.page

        def look_at(name: str) -> None:
            found[name] = find_faults_at_all_sizes(page)

        bench.open(f"jobs/{job}")
        expect(page.get_by_role("table", name="Results")).to_be_visible()
        look_at("job")
        page.get_by_role("button", name=re.compile("^Question and answer for")).first.click()
        expect(page.get_by_role("group", name="Question, user")).to_be_visible()
        look_at("answer")
        bench.open(f"labelings/compare?a={job}&b={other}")
        expect(page.get_by_role("table", name="Features")).to_be_visible()
        look_at("compare")
        bench.open(f"jobs/{other}")
        expect(page.get_by_text("The budget is reached")).to_be_visible()
        look_at("over budget")
        bench.open(f"s/{{sae}}/label?q={QUERY}&relabel=1&provider=anthropic&concurrency=2")
        expect(page.get_by_role("group", name="Prompt, user")).to_be_visible()
        look_at("not ready")
        bench.open("templates/new")
        page.get_by_role("textbox", name="User text").fill("{nonsense}")
        expect(page.get_by_role("status", name="Check")).to_contain_text("{nonsense}")
        look_at("problems")
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
