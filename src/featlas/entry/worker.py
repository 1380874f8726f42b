"""The processes that work: one job's own (`python -m featlas.entry.worker run-job ID`), and a team's worker."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import ValidationError

from featlas.entry.logs import start_logging
from featlas.entry.providers import find_provider
from featlas.errors import FeatlasError, InputError
from featlas.pipeline.registry import KINDS, Kind
from featlas.settings import Settings
from featlas.specs import QUEUES
from featlas.store.session import Store
from featlas.store.shared_artifacts import share_artifacts
from featlas.worker.lifeline import die_with_parent, step_back
from featlas.worker.local import FRESH, LocalRunner
from featlas.worker.processes import ForkedProcesses
from featlas.worker.rounds import Team
from featlas.worker.run_job import Workplace, help_job, run_job

if TYPE_CHECKING:
    from featlas.worker.celery_app import CeleryDoorbell

PRELOAD = (
    "featlas.cli.labels",  # of what multiprocessing imports as the main module, the better part
    "featlas.entry.worker",
    *(place.partition(":")[0] for kind in KINDS.values() for place in (kind.use_case, kind.help_case) if place),
    "transformers.modeling_utils",  # what the name of every model's class leads to
    "transformers.models.auto.modeling_auto",
)
"""What jobs import, in seconds, unless the process that they are forked from has."""


def main(argv: Sequence[str] | None = None, *, kinds: Mapping[str, Kind] = KINDS) -> int:
    """Run one job, or help with one, and return the exit code; what cannot be written into its row goes to stderr."""
    given = _parser().parse_args(argv)
    if given.nice:
        step_back(given.nice)
    if given.parent is not None:
        die_with_parent(given.parent)
    try:
        settings = load_settings()
        start_logging(settings)
        store = Store.open(settings.store_url)
        try:
            if given.command == "help":
                return help_job(store, given.job_id, workplace(settings), kinds)
            return run_job(store, given.job_id, workplace(settings), kinds, parent_pid=given.parent)
        finally:
            store.close()
    except FeatlasError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m featlas.entry.worker")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("run-job", "do a queued job in this process"), ("help", "help with a job of another worker")):
        command = commands.add_parser(name, help=what)
        command.add_argument("job_id", type=int)
        command.add_argument("--parent", type=int, default=None, help="end when this process ends")
        command.add_argument("--nice", type=int, default=0, help="how far other processes go first, 0 to 19")
    return parser


def work(settings: Settings, queues: Sequence[str], concurrency: int) -> None:
    """Wait for jobs of these queues and do them, until SIGINT or SIGTERM; what runs then is handed back.

    Raises InputError where no broker is set or a queue is not known.
    """
    unknown = [queue for queue in queues if queue not in QUEUES]
    if unknown:
        raise InputError(f"--queues {unknown[0]}: expected some of {', '.join(QUEUES)}")
    start_logging(settings)
    doorbell = make_doorbell(settings)
    from featlas.worker.celery_app import run_worker

    processes = job_processes()
    processes.prepare()
    store = Store.open(settings.store_url)
    try:
        processes.wait_until_ready()  # no job is taken that others could start sooner
        team = Team(store, doorbell, settings.lease_s)
        run_worker(team, doorbell, LocalRunner(store, settings.logs_path, processes=processes), queues, concurrency)
    finally:
        store.close()


def job_processes() -> ForkedProcesses:
    """How a process that lives long starts those of its jobs."""
    return ForkedProcesses("featlas.entry.worker", PRELOAD, fresh=FRESH)


def make_doorbell(settings: Settings) -> "CeleryDoorbell":
    """What rings for workers; raises InputError where no broker is set."""
    if not settings.broker_url:
        raise InputError(
            "FEATLAS_BROKER_URL is not set: without a broker jobs run on this machine, beside `featlas serve` or in the"
            " command that asks for them; expected a URL such as redis://host:6379/0"
        )
    from featlas.worker.celery_app import CeleryDoorbell  # a third of a second that most commands need not pay

    return CeleryDoorbell(settings.broker_url)


def load_settings() -> Settings:
    """The settings of the environment, put in force where they hold for the process; InputError for a wrong value."""
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = (f"FEATLAS_{str(e['loc'][0]).upper()} = {e['input']!r}: {e['msg'].lower()}" for e in error.errors())
        raise InputError("; ".join(wrong)) from error
    share_artifacts(settings.artifacts_path, settings.artifacts_url)
    return settings


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
        call_others=partial(_call_others, settings) if settings.broker_url else None,
    )


def _call_others(settings: Settings, job_id: int, n: int) -> None:
    if n > 0:
        make_doorbell(settings).call_others(job_id, n)


if __name__ == "__main__":
    sys.exit(main())
