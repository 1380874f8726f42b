"""How results reach standard output: as wide as the terminal, never cut to one that is not there."""

import os
import sys

from rich.console import Console

PIPE_WIDTH = 200
"""Characters per line of a table that goes to a file or a pipe, unless COLUMNS says otherwise."""


class _ResultConsole(Console):
    def on_broken_pipe(self) -> None:
        """Let `main` end the command: rich would end it with code 1, but a reader who has enough is no error."""
        raise  # noqa: PLE0704 (rich calls this while it handles the BrokenPipeError)


def result_console() -> Console:
    """A console for standard output that prints names and texts as they are: no markup, no emoji codes."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _ResultConsole(highlight=False, markup=False, emoji=False, width=None if has_width else PIPE_WIDTH)
