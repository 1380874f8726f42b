"""The command that works for a team."""

import logging
import sys
from collections.abc import Sequence

from featlas.entry.worker import load_settings, work


def run_worker(queues: Sequence[str], concurrency: int) -> int:
    """Work in the foreground until Ctrl-C."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    names = [name for part in queues for name in part.split(",") if name]
    work(load_settings(), names, concurrency)
    return 0
