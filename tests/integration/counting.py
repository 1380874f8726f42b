"""A small real kind of job: it counts into a file, goes on where the file ends, and dies in the ways that jobs die.

Run as a module it is a worker that knows this kind, as `featlas.entry.worker` knows the product's; `processes` are the
two ways to start that.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from featlas.entry import worker
from featlas.errors import InputError
from featlas.pipeline.registry import JobContext, Kind
from featlas.query import parse_query
from featlas.specs import Spec
from featlas.worker.processes import ForkedProcesses, FreshProcesses, Processes


class CountSpec(Spec):
    """Count to n, a number every step_s seconds; `at` says when to do what.

    Before each of the numbers in `holds` the count stands still until `release` is called for it.
    """

    n: int = 5
    path: str
    step_s: float = 0.0
    holds: tuple[int, ...] = ()
    at: int = -1
    what: Literal["", "input_error", "query_error", "bug", "crash", "exit", "deaf"] = ""


def count(spec: CountSpec, context: JobContext) -> dict[str, Any]:
    path = Path(spec.path)
    done = len(path.read_text().split()) if path.exists() else 0
    context.progress.phase("count", spec.n, "numbers", done=done)
    for number in range(done, spec.n):
        _check(spec, context)
        while number in spec.holds and not _release_path(path, number).exists():
            _check(spec, context)
            time.sleep(0.01)
        if number == spec.at:
            _act(spec.what)
        time.sleep(spec.step_s)
        with path.open("a") as file:
            file.write(f"{number}\n")
        context.progress.advance(1, last=number)
    with context.store.write() as session:
        context.guard(session)
    return {"n": spec.n, "job": context.job_id, "threads": context.threads}


def help_count(spec: CountSpec, context: JobContext) -> int:
    """Help, which shows by an empty file, until told to stop."""
    helping_path(Path(spec.path)).touch()
    while True:
        context.stop.check()
        time.sleep(0.01)


def helping_path(path: Path) -> Path:
    """The file that shows that somebody helps with the count into `path`."""
    return path.with_name(f"{path.name}.help")


def release(path: Path, number: int) -> None:
    """Let a count into `path` go on that stands still before the number."""
    _release_path(path, number).touch()


def _release_path(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _check(spec: CountSpec, context: JobContext) -> None:
    if spec.what != "deaf":
        context.stop.check()


def _act(what: str) -> None:
    match what:
        case "input_error":
            raise InputError("the number 3 is not allowed")
        case "query_error":
            parse_query("densty:3")
        case "bug":
            raise ValueError("a mistake")
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit(7)


KINDS = {"count": Kind(CountSpec, "tests.integration.counting:count", "tests.integration.counting:help_count")}


def processes(way: str, env: Mapping[str, str] | None = None) -> Processes:
    """How to start such workers: `fresh` or `forked`."""
    fresh = FreshProcesses([sys.executable, "-m", "tests.integration.counting"], env)
    if way == "fresh":
        return fresh
    return ForkedProcesses("tests.integration.counting", ["featlas.entry.worker"], fresh, env)


def main(arguments: Sequence[str] | None = None) -> int:
    """A worker that knows this kind."""
    return worker.main(arguments, kinds=KINDS)


if __name__ == "__main__":
    sys.exit(main())
