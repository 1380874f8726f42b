"""Run every static check of the house, say which are red and why, and count the seconds.

`make check` is this. All checks run even when one is red, so that one round shows everything.
"""

import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
CODE = ("src", "tests", "tools")

CHECKS: dict[str, list[str]] = {
    "format": [str(BIN / "ruff"), "format", "--check", *CODE],
    "lint": [str(BIN / "ruff"), "check", *CODE],
    "types": [str(BIN / "pyright")],
    "imports": [str(BIN / "lint-imports")],
    "budgets": [sys.executable, "-m", "tools.check_budgets"],
    "text": [sys.executable, "-m", "tools.check_text"],
    "links": [sys.executable, "-m", "tools.check_links"],
    "design map": [sys.executable, "-m", "tools.check_design_map"],
    "figures": [sys.executable, "-m", "tools.check_figures"],
    "generated documents": [sys.executable, "-m", "tools.generate_docs", "--check"],
}


def main() -> int:
    """Run the checks one after another; 1 when any is red."""
    started = time.monotonic()
    red = [name for name, command in CHECKS.items() if not _is_green(name, command)]
    seconds = time.monotonic() - started
    verdict = f"FAILED: {', '.join(red)}" if red else "passed"
    print(f"make check: {verdict} ({seconds:.0f} s)", flush=True)
    return 1 if red else 0


def _is_green(name: str, command: list[str]) -> bool:
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    verdict = "ok " if done.returncode == 0 else "RED"
    print(f"{verdict} {name} ({time.monotonic() - started:.1f} s)", flush=True)
    if done.returncode != 0:
        print(done.stdout, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
