"""The `featlas` command in real processes, with a home of its own, as a person at a terminal has it."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from featlas.cli.main import main

PATIENCE_S = 300
EXECUTABLE = Path(sys.executable).parent / "featlas"
_WORK = ("check", "correlate", "demo", "directions", "extract", "label", "serve", "train", "worker")
_PIPES: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "text": True,
    "start_new_session": True,
}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines: anything else on it is an error."""
        return [json.loads(line) for line in self.stdout.splitlines()]


@dataclass(frozen=True)
class Featlas:
    """A FEATLAS_HOME and the environment in which commands run."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """This process's, without settings of Featlas that a person may have, and without the network."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FEATLAS_")}
        offline = {"HF_HUB_OFFLINE": "1", "FEATLAS_DEVICE": "cpu", "FEATLAS_THREADS": "1"}
        return {**kept, **offline, "FEATLAS_HOME": str(self.home), "COLUMNS": "200", **self.env}

    def run(self, *arguments: object, code: int | None = 0, **options: Any) -> Done:
        """Run a command to its end; `code` is the exit code that it must have, None for any."""
        with self.start(*arguments, **options) as process:
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
        assert code in (None, process.returncode), (process.returncode, stdout[-2000:], stderr[-4000:])
        return Done(process.returncode, stdout, stderr)

    def start(self, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [str(EXECUTABLE), *map(str, arguments)],
            env=self.environment(),
            **{**_PIPES, **options},
        )

    def json(self, *arguments: object) -> list[dict[str, Any]]:
        """The JSON lines that a command prints."""
        return self.run(*arguments, "--json").lines

    @property
    def quick(self) -> "QuickFeatlas":
        """The same home, asked in this process."""
        return QuickFeatlas(self.home, self.env)

    def log(self, job: int) -> str:
        """The output of a job's workers."""
        return (self.home / "logs" / f"job-{job}.log").read_text()


@dataclass(frozen=True)
class QuickFeatlas(Featlas):
    """The same commands called in this process, which saves each the second that it takes to start.

    For tests of many small commands, beside others that start them as people do. Work that needs a process has one.
    """

    def run(self, *arguments: object, code: int | None = 0, **options: Any) -> Done:
        if options or arguments[0] in _WORK:
            return super().run(*arguments, code=code, **options)
        stdout, stderr = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.environment(), clear=True),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
            pytest.raises(SystemExit) as ended,
        ):
            main([str(argument) for argument in arguments])
        done = Done(int(ended.value.code or 0), stdout.getvalue(), stderr.getvalue())
        assert code in (None, done.code), done
        return done
