"""Language models from the command line: who can be asked, what it would take, what came of it; in this process."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders.asked_runs import make_asked_run
from tests.builders.labelings import Labelings, make_response

from featlas.cli.asking import CAUSES, print_asked
from featlas.cli.main import main
from featlas.domain import FailureCause
from featlas.store.labels import HumanLabel, add_human_label
from featlas.store.responses import save_responses_alone
from featlas.store.session import Store
from featlas.testing.chat_scripts import Answer, Status, answer_label
from featlas.testing.scripted_chat import ScriptedChat, running_chat_server

KEY = "sk-canary-of-this-test"
VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "FEATLAS_COMPATIBLE_API_KEY", "FEATLAS_STORE_URL")


class Cli:
    """The command in a home with one finished run of ten features, `asked`."""

    def __init__(self, home: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
        self.desk = Labelings(store, home / "artifacts")
        self.capsys = capsys
        self.err = ""

    def __call__(self, *arguments: object, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        printed = self.capsys.readouterr()
        self.err = printed.err
        assert (ended.value.code or 0) == code, printed
        assert (code == 0) == ("featlas: " not in printed.err)
        assert KEY[3:] not in printed.out + printed.err
        return printed.out

    def json(self, *arguments: object) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self(*arguments, "--json").splitlines()]

    def refusal(self, *arguments: object, code: int = 2) -> str:
        """The message of a command that fails and leaves no job."""
        assert self(*arguments, code=code) == ""
        message = self.err
        assert self.json("jobs", "ls") == []
        return message


@pytest.fixture
def cli(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(sqlite_template, home / "featlas.db")
    monkeypatch.setenv("FEATLAS_HOME", str(home))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    store = Store.open(f"sqlite:///{home / 'featlas.db'}")
    yield Cli(home, store, capsys)
    store.close()


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedChat]:
    """A server that is OpenAI and a compatible one."""
    with running_chat_server(answer_label) as running:
        monkeypatch.setenv("FEATLAS_OPENAI_BASE_URL", running.openai_url)
        monkeypatch.setenv("FEATLAS_COMPATIBLE_BASE_URL", running.openai_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running


# Providers


def test_providers_are_listed(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    lines = [" ".join(line.split()) for line in cli("providers", "ls").splitlines()]
    assert lines == [
        "provider address key default model",
        "openai https://api.openai.com/v1 OPENAI_API_KEY is set gpt-4o-mini",
        "anthropic https://api.anthropic.com ANTHROPIC_API_KEY is not set claude-haiku-4-5",
        "compatible set FEATLAS_COMPATIBLE_BASE_URL FEATLAS_COMPATIBLE_API_KEY is not set name it with --model",
    ]
    listed = cli.json("providers", "ls")
    assert [(one["name"], one["is_ready"]) for one in listed] == [
        ("openai", True),
        ("anthropic", False),
        ("compatible", False),
    ]


def test_an_address_with_a_password_is_not_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEATLAS_OPENAI_BASE_URL", "https://ada:secret-word@host/v1")
    shown = cli("providers", "ls") + cli("providers", "ls", "--json")
    assert "secret-word" not in shown
    assert "set FEATLAS_OPENAI_BASE_URL" in shown


def test_a_provider_is_tried(cli: Cli, chat: ScriptedChat):
    lines = cli("providers", "test", "openai").splitlines()
    host = chat.url.removeprefix("http://")
    assert lines[0].startswith(f"openai ({host}) answers as gpt-4o-mini in 0.")
    assert " tokens in, " in lines[0]
    assert lines[1] == "  it keeps to the JSON schema"
    (found,) = cli.json("providers", "test", "compatible", "--model", "llama3.2")
    assert (found["model"], found["keeps_schema"]) == ("llama3.2", True)
    chat.script = lambda _: Answer("weekdays", has_usage=False)
    lines = cli("providers", "test", "openai").splitlines()
    assert lines[0].endswith("; it counts no tokens")
    assert lines[1] == "  its answer was no label; try --answer-format text"


def test_a_try_that_fails_says_why(cli: Cli, chat: ScriptedChat):
    chat.script = lambda _: Status(401, message=f"the key {KEY} is bad")
    assert "the key … is bad" in cli.refusal("providers", "test", "openai")
    chat.script = lambda _: Status(500, message="broken")
    assert "broken" in cli.refusal("providers", "test", "openai", code=5)
    assert "ANTHROPIC_API_KEY" in cli.refusal("providers", "test", "anthropic")
    assert "which model" in cli.refusal("providers", "test", "compatible")
    assert "google" in cli.refusal("providers", "test", "google")


# What it would take


def test_an_estimate_asks_nobody_and_needs_no_key(cli: Cli):
    out = cli("label", "asked", "--provider", "openai", "--estimate")
    lines = out.splitlines()
    assert lines[0] == "asking gpt-4o-mini (openai) about 9 features, template general version 1"
    assert "tokens in and 810 out (estimated): about $0.00" in lines[1]
    assert lines[2] == (
        "  left out: 0 of people's, 1 with a flag (dead, dense, duplicate …), 0 with a label (--relabel asks again)"
    )
    assert cli.err == ""
    assert cli.json("jobs", "ls") == []


def test_an_estimate_as_json(cli: Cli):
    (found,) = cli.json("label", "asked", "--provider", "openai", "--estimate", "--query", "n_fires:13..16")
    assert (found["n_features"], found["n_tokens_out"], found["template"]) == (4, 360, "general")
    assert (found["is_measured"], found["seconds"]) == (False, None)
    expected = 0.15 * found["n_tokens_in"] + 0.6 * found["n_tokens_out"]
    assert found["cost_micro_usd"] == pytest.approx(expected, abs=1)
    assert found["n_skipped"] == {"human": 0, "flagged": 0, "labeled": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dry-run", 2), "about 2 features"),
        (("--model", "unheard-of"), "no price known"),
        (("--model", "unheard-of", "--price-in", 1000, "--price-out", 1000), "about $10."),
        (("--template", "rare@1"), "template rare version 1"),
        (("--requests-per-minute", 3), ", about 3 min"),
        (("--requests-per-minute", 60), ", about 9 s"),
        (("--requests-per-minute", 0.05), ", about 3.0 h"),
        (("--query", "n_fires:1000.."), "about 0 features"),
    ],
)
def test_an_estimate_follows_the_options(cli: Cli, arguments: tuple[object, ...], words: str):
    assert words in cli("label", "asked", "--provider", "openai", "--estimate", *arguments)


def test_an_estimate_is_measured_by_earlier_answers(cli: Cli):
    kept = make_response(model="gpt-4o-mini", n_tokens_out=40, wall_s=5.0)
    save_responses_alone(cli.desk.store, [kept])
    out = cli("label", "asked", "--provider", "openai", "--estimate", "--concurrency", 1)
    assert "and 360 out (measured on earlier answers)" in out
    assert ", about 45 s" in out


def test_an_estimate_leaves_out_what_is_labeled(cli: Cli):
    cli.desk.write(None, cli.desk.said(2), cli.desk.said(3))
    add_human_label(cli.desk.store, cli.desk.run.sae_id, 4, HumanLabel("mine"))
    out = cli("label", "asked", "--provider", "openai", "--estimate")
    assert "about 6 features" in out
    assert "1 of people's, 1 with a flag (dead, dense, duplicate …), 2 with a label" in out


# What is refused before there is a job


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--provider", "openai"), 2, "set OPENAI_API_KEY in the environment"),
        (("--provider", "anthropic", "--dry-run", 3), 2, "ANTHROPIC_API_KEY"),
        (("--provider", "compatible", "--model", "m"), 2, "FEATLAS_COMPATIBLE_BASE_URL"),
        (("--provider", "compatible"), 2, "featlas: --provider compatible needs --model"),
        (("--provider", "google"), 2, "--provider 'google'"),
        (("--estimate",), 2, "the offline labeler costs nothing"),
        (("--dry-run", 3), 2, "featlas: --dry-run is for language models; add --provider"),
        (("--budget", 3), 2, "--budget is for language models"),
        (("--model", "gpt-4o"), 2, "--model is for language models"),
        (("--provider", "openai", "--budget", 0), 2, "--budget '0'"),
        (("--provider", "openai", "--budget", "nan"), 2, "--budget 'nan'"),
        (("--provider", "openai", "--dry-run", "1.5"), 2, "--dry-run '1.5'"),
        (("--provider", "openai", "--concurrency", 0), 2, "--concurrency '0'"),
        (("--provider", "openai", "--price-in", 1), 2, "featlas: --price-in and --price-out belong together"),
    ],
)
def test_what_cannot_be_is_refused_without_a_job(cli: Cli, arguments: tuple[object, ...], code: int, words: str):
    assert words in cli.refusal("label", "asked", *arguments, code=code)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--template", "nothing"), 3, "nothing"),
        (("--template", "general@99"), 3, "99"),
        (("--retry-of", 4711), 2, "--retry-of 4711"),
        (("--query", "nonsense:3"), 2, "nonsense"),
        (("--model", "unheard-of", "--budget", 1), 2, "no price is known of 'unheard-of' at openai"),
    ],
)
@pytest.mark.parametrize("way", [(), ("--estimate",)])
def test_what_is_not_there_is_told_without_a_job(
    cli: Cli, chat: ScriptedChat, arguments: tuple[object, ...], code: int, words: str, way: tuple[str, ...]
):
    assert words in cli.refusal("label", "asked", "--provider", "openai", *arguments, *way, code=code)
    assert chat.requests == ()


def test_an_unknown_or_unfinished_run_is_told(cli: Cli, chat: ScriptedChat, tmp_path: Path):
    assert "no run has" in cli.refusal("label", "nowhere", "--provider", "openai", code=3)
    make_asked_run(cli.desk.store, tmp_path, mark="partial", is_partial=True)
    assert "not finished" in cli.refusal("label", "askedpartial", "--provider", "openai", code=4)


# What came of it

RESULT: dict[str, Any] = {
    "run": 7,
    "name": "asked",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "template": "general",
    "template_version": 1,
    "n_features": 1200,
    "n_by_rule": 0,
    "n_labeled": 1000,
    "n_abstained": 150,
    "n_linted": 12,
    "n_requests": 1300,
    "n_retries": 3,
    "n_repairs": 4,
    "n_from_cache": 0,
    "n_failed": 0,
    "n_by_cause": {},
    "n_tokens_in": 1_500_000,
    "n_tokens_out": 60_000,
    "n_uncounted": 0,
    "cost_micro_usd": 261_000,
    "is_over_budget": False,
    "n_unchanged": 0,
    "n_left": 0,
    "n_skipped": {},
}


def said(capsys: pytest.CaptureFixture[str], **changes: Any) -> list[str]:
    print_asked(42, {**RESULT, **changes})
    return capsys.readouterr().out.splitlines()


def test_a_labeling_tells_what_came_of_it(capsys: pytest.CaptureFixture[str]):
    assert said(capsys) == [
        "1,000 of 1,200 features labeled",
        "  no clear pattern in 150; 12 labels wait for a person (lint)",
        "  1,300 calls, 1,500,000 tokens in, 60,000 out, $0.26",
        "next: featlas review queue 7",
    ]


def test_failures_are_told_with_what_to_do(capsys: pytest.CaptureFixture[str]):
    lines = said(capsys, n_failed=5, n_by_cause={"refused": 2, "truncated": 3}, n_by_rule=30)
    assert lines[0] == "1,000 of 1,200 features labeled, 30 of them by rule"
    assert lines[2:4] == [
        "  failed 2: the model refused",
        "  failed 3: the answer was cut off; raise --max-output-tokens",
    ]
    assert lines[-1] == "next: featlas label 7 --provider openai --model gpt-4o-mini --template general --retry-of 42"


def test_the_next_command_can_be_pasted_whatever_the_names(capsys: pytest.CaptureFixture[str]):
    lines = said(capsys, n_failed=1, n_by_cause={"refused": 1}, model="org/model:7b", template="my own")
    assert lines[-1] == "next: featlas label 7 --provider openai --model org/model:7b --template 'my own' --retry-of 42"


def test_answers_that_were_the_same_are_told(capsys: pytest.CaptureFixture[str]):
    lines = said(capsys, n_labeled=0, n_abstained=0, n_linted=0, n_from_cache=1200, n_unchanged=1200)
    assert lines[2] == "  the same answer as before for 1,200: nothing was added to these"


def test_every_cause_that_a_job_can_end_with_is_explained():
    assert set(CAUSES) == set(FailureCause) - {FailureCause.AUTH}  # which ends the job before anything fails


def test_a_budget_and_known_answers_are_told(capsys: pytest.CaptureFixture[str]):
    lines = said(capsys, is_over_budget=True, n_left=50, n_from_cache=20, cost_micro_usd=None)
    assert lines[2] == "  1,300 calls, 1,500,000 tokens in, 60,000 out, 20 answers known before"
    assert lines[3] == "  the budget is reached: 50 features were not asked about"
    assert "$0.0026" in "".join(said(capsys, cost_micro_usd=2600))


def test_a_dry_run_shows_its_answers(capsys: pytest.CaptureFixture[str]):
    answers = [
        {
            "feature_index": 3,
            "status": "labeled",
            "semantic_label": "courts [of/law]",
            "category_label": None,
            "explanation": "fires on [bold]courts[/bold]",
            "confidence": 0.5,
            "lint": ["markup", "echo"],
            "failure_cause": None,
        },
        {
            "feature_index": 5,
            "status": "failed",
            "semantic_label": None,
            "category_label": None,
            "explanation": "I will not.",
            "confidence": None,
            "lint": [],
            "failure_cause": "refused",
        },
    ]
    lines = said(capsys, answers=answers, n_linted=None, n_failed=1, n_by_cause={"refused": 1})
    assert lines[1].split() == ["3", "courts", "[of/law]", "fires", "on", "[bold]courts[/bold]", "markup,", "echo"]
    assert lines[2].split() == ["5", "(refused)", "I", "will", "not."]
    assert "a dry run: no label was kept, and the same questions will not be paid for again" in lines
    assert not any(line.startswith("next") for line in lines)
