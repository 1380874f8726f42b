"""Progress says what is known and nothing else, and never on standard output."""

from typing import Any

import pytest

from featlas.cli import progress_bar as module
from featlas.cli.progress_bar import count_text, ended_text, pace_text, progress_bar

STATE: dict[str, Any] = {
    "phase": "reading the text",
    "unit": "tokens",
    "done": 12_345,
    "total": 200_000,
    "elapsed_s": 10.0,
    "rate": 1234.4,
    "eta_s": 125.0,
    "figures": {},
    "phases": [],
}


def state(**changes: Any) -> dict[str, Any]:
    return {**STATE, **changes}


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "12,345 / 200,000 tokens"),
        ({"total": None}, "12,345 tokens"),
        ({"unit": "", "total": None}, ""),
        ({"done": 0}, "0 / 200,000 tokens"),
    ],
)
def test_the_count_is_as_much_as_is_known(changes: dict[str, Any], shown: str) -> None:
    assert shown == count_text(state(**changes))


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "1,234 tokens/s, 2:05 left"),
        ({"eta_s": None}, "1,234 tokens/s"),
        ({"rate": None}, ""),
        ({"unit": ""}, ""),
        ({"eta_s": 59.6}, "1,234 tokens/s, 1:00 left"),
        ({"eta_s": 0}, "1,234 tokens/s, 0:00 left"),
        ({"eta_s": 7200.0}, "1,234 tokens/s, 120:00 left"),
    ],
)
def test_the_pace_is_as_much_as_is_known(changes: dict[str, Any], shown: str) -> None:
    assert shown == pace_text(state(**changes))


def test_where_there_is_no_terminal_each_phase_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as show:
        show(None)
        show(state(phase=""))
        show(state())
        show(state(done=13_000))
        show(state(phase="publishing", unit="features", done=1, total=8, rate=None, eta_s=None))
    printed = capsys.readouterr()
    assert "" == printed.out
    assert [
        "reading the text  12,345 / 200,000 tokens  1,234 tokens/s, 2:05 left",
        "publishing  1 / 8 features",
    ] == printed.err.splitlines()


def test_a_long_phase_is_heard_of_again(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLAIN_EVERY_S", 0.0)
    with progress_bar() as show:
        show(state(rate=None))
        show(state(done=13_000, rate=None))
    assert ["12,345", "13,000"] == [line.split()[3] for line in capsys.readouterr().err.splitlines()]


def test_figures_are_shown_and_those_that_do_not_exist_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as show:
        show(state(phase="training", unit="", rate=None, figures={"fvu": 0.23456, "l0": None, "n_dead": 3.0}))
    assert "training  fvu 0.2346  n_dead 3\n" == capsys.readouterr().err


def test_on_a_terminal_a_bar_is_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "160")):
        monkeypatch.setenv(name, value)
    with progress_bar() as show:
        show(None)
        show(state())
    printed = capsys.readouterr()
    assert "" == printed.out
    assert "reading the text" in printed.err
    assert "12,345 / 200,000 tokens" in printed.err
    assert "1,234 tokens/s, 2:05 left" in printed.err


READ: dict[str, Any] = {"phase": "reading", "unit": "tokens", "done": 200_073, "elapsed_s": 92.4, "rate": 2174.6}


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "reading  200,073 tokens in 1:32, 2,175 tokens/s"),
        ({"rate": None}, "reading  200,073 tokens in 1:32"),
        ({"elapsed_s": 0.04}, "reading  200,073 tokens in 0.0 s, 2,175 tokens/s"),
        ({"unit": ""}, "reading  1:32"),
        ({"done": 0}, "reading  1:32"),
    ],
)
def test_what_ended_says_what_it_did(changes: dict[str, Any], shown: str) -> None:
    assert shown == ended_text({**READ, **changes})


def test_on_a_terminal_a_phase_that_nobody_saw_leaves_its_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "160")):
        monkeypatch.setenv(name, value)
    loaded = {**READ, "phase": "loading", "unit": "", "elapsed_s": 1.0}
    with progress_bar() as show:
        show(state(phases=[loaded]))
        show(state(phase="publishing", phases=[loaded, READ]))
        show(state(phase="reading", phases=[loaded]))  # a worker that began again
    printed = capsys.readouterr().err
    assert [2, 1] == [printed.count(line) for line in (ended_text(loaded), ended_text(READ))]
