"""Run a folder of long tests part by part, each in its own low-priority process with its own log.

A part is one `test_*.py` file. Logs are in `build/<folder>/`; figures go to docs/records (tools/record.py).
Usage: `python -m tools.prove tests/prove [PART …]`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path


def find_parts(folder: Path, chosen: list[str]) -> list[Path]:
    """The files to run, in name order; with `chosen`, only those whose name (without `test_`) is among them.

    Raises SystemExit, naming what there is, if the folder is empty or a chosen part does not exist.
    """
    parts = {path.stem.removeprefix("test_"): path for path in sorted(folder.glob("test_*.py"))}
    unknown = sorted(set(chosen) - set(parts))
    if unknown or not parts:
        wanted = f"no part {', '.join(unknown)}" if unknown else "nothing to run"
        raise SystemExit(f"{folder}: {wanted}; parts: {', '.join(parts) or 'none'}")
    return [path for name, path in parts.items() if not chosen or name in chosen]


def run_part(part: Path, log: Path) -> int:
    """Run one file under pytest with its output in `log`; returns pytest's exit status."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        command = [sys.executable, "-m", "pytest", "-s", "--override-ini", "timeout=3600", str(part)]
        return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode


def main() -> int:
    """Run the parts one after another; 1 when any failed."""
    folder = Path(sys.argv[1])
    os.nice(10)
    failed = []
    for part in find_parts(folder, sys.argv[2:]):
        log = Path("build") / folder.name / f"{part.stem}.log"
        started = time.monotonic()
        print(f"{part.stem}: running, log in {log}", flush=True)
        status = run_part(part, log)
        print(f"{part.stem}: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
        if status != 0:
            failed.append(part.stem)
    print(f"{folder.name}: {'FAILED: ' + ', '.join(failed) if failed else 'all parts passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
