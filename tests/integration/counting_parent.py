"""A process that runs one job as the CLI does: python -m tests.integration.counting_parent JOB_ID WAY [GRACE_S]."""

import sys

from tests.integration.counting import processes

from featlas.entry.worker import load_settings
from featlas.store.session import Store
from featlas.worker.local import LocalRunner, job_error


def main() -> int:
    settings = load_settings()
    job_id, way, grace_s = [*sys.argv[1:], "10"][:3]
    store = Store.open(settings.store_url)
    runner = LocalRunner(store, settings.logs_path, processes=processes(way), grace_s=float(grace_s))
    error = job_error(runner.run(int(job_id)))
    if error is None:
        return 0
    print(error)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
