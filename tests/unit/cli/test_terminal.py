"""Results as they are, whole, wherever they go."""

import io
import sys

import pytest

from featlas.cli.terminal import PIPE_WIDTH, result_console

LONG = " ".join(["word"] * 30)


def test_a_pipe_has_room_for_wide_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert PIPE_WIDTH == result_console().width
    monkeypatch.setenv("COLUMNS", "90")
    assert 90 == result_console().width


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    result_console().print("[red]x[/red] :smile: 123")
    assert "[red]x[/red] :smile: 123\n" == capsys.readouterr().out
