"""Runs a correlation job in a process of its own, slowly: `python -m tests.builders.correlated_run URL FOLDER JOB`.

Every step is printed before it is taken, so that whoever reads may kill it there.
"""

import sys
import time
from pathlib import Path

from tests.builders.correlating import correlation_context

from featlas.pipeline import correlate_pairs
from featlas.pipeline.correlate import run_correlation
from featlas.specs import CorrelateSpec
from featlas.store.job_views import fetch_job
from featlas.store.session import Store

STEP_S = 0.2
BYTES_PER_TILE = 24 * 12 * 4  # several tiles of a dozen features


class Slowly:
    """A progress that tells and waits."""

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        print(name, flush=True)
        time.sleep(STEP_S)

    def advance(self, n: int = 1, **figures: float) -> None:
        print("step", flush=True)
        time.sleep(STEP_S)


def main() -> None:
    url, folder, job_id = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    correlate_pairs.BYTES_PER_TILE = BYTES_PER_TILE
    store = Store.open(url)
    spec = CorrelateSpec(**fetch_job(store, job_id).spec)
    run_correlation(spec, correlation_context(store, folder, job_id, Slowly()))
    store.close()


if __name__ == "__main__":
    main()
