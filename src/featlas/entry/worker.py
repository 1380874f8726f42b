"""The process in which one job runs: `python -m featlas.entry.worker run-job ID [--parent PID]`; a runner starts it."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from pydantic import ValidationError

from featlas.entry.logs import start_logging
from featlas.entry.providers import find_provider
from featlas.errors import FeatlasError, InputError
from featlas.pipeline.registry import KINDS, Kind
from featlas.settings import Settings
from featlas.store.session import Store
from featlas.worker.run_job import Workplace, die_with_parent, run_job, step_back


def main(argv: Sequence[str] | None = None, *, kinds: Mapping[str, Kind] = KINDS) -> int:
    """Run one job and return the exit code; what cannot be written into its row goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m featlas.entry.worker")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run-job", help="do a queued job in this process")
    command.add_argument("job_id", type=int)
    command.add_argument("--parent", type=int, default=None, help="end when this process ends")
    command.add_argument("--nice", type=int, default=0, help="how far other processes go first, 0 to 19")
    given = parser.parse_args(argv)
    if given.nice:
        step_back(given.nice)
    if given.parent is not None:
        die_with_parent(given.parent)
    try:
        settings = load_settings()
        start_logging(settings)
        store = Store.open(settings.store_url)
        try:
            return run_job(store, given.job_id, workplace(settings), kinds, parent_pid=given.parent)
        finally:
            store.close()
    except FeatlasError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code


def load_settings() -> Settings:
    """The settings of the environment; raises InputError for a value that is not allowed."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"FEATLAS_{str(e['loc'][0]).upper()} = {e['input']!r}: {e['msg'].lower()}" for e in error.errors())
        raise InputError("; ".join(wrong)) from error


def workplace(settings: Settings) -> Workplace:
    """The settings as plain values, for rooms that may not read them."""
    return Workplace(
        artifacts_path=settings.artifacts_path,
        cache_path=settings.cache_path,
        logs_path=settings.logs_path,
        device=settings.device,
        threads=settings.threads,
        lease_s=settings.lease_s,
        open_provider=partial(find_provider, settings),
    )


if __name__ == "__main__":
    sys.exit(main())
