"""Draws a job's progress on the terminal's error stream, so that standard output stays clean for results."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

OnProgress = Callable[[dict[str, Any] | None], None]


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """A function that is shown each new state of a job's progress (see `pipeline.progress.Meter.snapshot`)."""
    console = Console(file=sys.stderr)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None, count="", pace="")

        def show(state: dict[str, Any] | None) -> None:
            if state and state.get("phase"):
                bar.update(
                    task,
                    description=state["phase"],
                    total=state["total"],
                    completed=state["done"],
                    count=count_text(state),
                    pace=pace_text(state),
                )

        yield show


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
