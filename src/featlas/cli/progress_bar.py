"""Draws a job's progress on the terminal's error stream, so that standard output stays clean for results."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

OnProgress = Callable[[dict[str, Any] | None], None]


PLAIN_EVERY_S = 15.0
"""Where the error stream is a file or a pipe, a line of progress at most this often, and one per phase."""


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """A function that is shown each new state of a job's progress (see `pipeline.progress.Meter.snapshot`)."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _PlainLines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None, count="", pace="")
        ended = _Ended()

        def show(state: dict[str, Any] | None) -> None:
            if state and state.get("phase"):
                for line in ended.new_lines(state):
                    bar.console.print(f"  {line}", highlight=False, markup=False)
                bar.update(
                    task,
                    description=state["phase"],
                    total=state["total"],
                    completed=state["done"],
                    count=count_text(state),
                    pace=pace_text(state),
                )

        yield show


class _Ended:
    """Which phases ended since the last look: also one too short to be seen at work leaves its line."""

    def __init__(self) -> None:
        self._n = 0

    def new_lines(self, state: dict[str, Any]) -> list[str]:
        """A line for each; a list that got shorter is that of a worker that began again."""
        phases = state["phases"]
        first = self._n if self._n <= len(phases) else 0
        self._n = len(phases)
        return [ended_text(phase) for phase in phases[first:]]


class _PlainLines:
    """Progress as lines of text."""

    def __init__(self) -> None:
        self._phase, self._at = "", 0.0

    def __call__(self, state: dict[str, Any] | None) -> None:
        if not state or not state.get("phase"):
            return
        now = time.monotonic()
        if state["phase"] != self._phase or now - self._at >= PLAIN_EVERY_S:
            parts = [state["phase"], count_text(state), pace_text(state), *_figures(state)]
            sys.stderr.write("  ".join(part for part in parts if part) + "\n")
            self._phase, self._at = state["phase"], now


def _figures(state: dict[str, Any]) -> list[str]:
    return [f"{name} {value:.4g}" for name, value in state["figures"].items() if value is not None]


def ended_text(phase: dict[str, Any]) -> str:
    """`reading the text  200,073 tokens in 1:32, 2,175 tokens/s`, or as much of it as is known."""
    elapsed_s = phase["elapsed_s"]
    took = f"{elapsed_s:.1f} s" if elapsed_s < 60 else "{}:{:02d}".format(*divmod(round(elapsed_s), 60))
    if not (phase["unit"] and phase["done"]):
        return f"{phase['phase']}  {took}"
    pace = f", {phase['rate']:,.0f} {phase['unit']}/s" if phase["rate"] else ""
    return f"{phase['phase']}  {phase['done']:,} {phase['unit']} in {took}{pace}"


def count_text(state: dict[str, Any]) -> str:
    """`12,345 / 200,000 tokens`, or as much of it as is known."""
    if not state["unit"]:
        return ""
    total = f" / {state['total']:,}" if state["total"] else ""
    return f"{state['done']:,}{total} {state['unit']}"


def pace_text(state: dict[str, Any]) -> str:
    """`1,234 tokens/s, 2:05 left`, or as much of it as is known."""
    if not state["rate"] or not state["unit"]:
        return ""
    pace = f"{state['rate']:,.0f} {state['unit']}/s"
    if state["eta_s"] is None:
        return pace
    minutes, seconds = divmod(round(state["eta_s"]), 60)
    return f"{pace}, {minutes}:{seconds:02d} left"
