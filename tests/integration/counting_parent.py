"""A process that runs one job as the CLI does: python -m tests.integration.counting_parent JOB_ID [GRACE_S]."""

import sys

from featlas.entry.worker import load_settings
from featlas.store.session import Store
from featlas.worker.local import LocalRunner, job_error


def main() -> int:
    settings = load_settings()
    command = [sys.executable, "-m", "tests.integration.counting"]
    grace_s = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    runner = LocalRunner(Store.open(settings.store_url), settings.logs_path, command=command, grace_s=grace_s)
    error = job_error(runner.run(int(sys.argv[1])))
    if error is None:
        return 0
    print(error)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
