"""Run every static check of the house, say which are red and why, and count the seconds.

`make check` is this. All checks run even when one is red, so that one round shows everything; types, the slow one, runs
beside the others.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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
    "page": ["npm", "--prefix", "ui", "run", "--silent", "check"],
    "generated documents": [sys.executable, "-m", "tools.generate_docs", "--check"],
}


def main() -> int:
    """Run the checks, two at a time; 1 when any is red."""
    started = time.monotonic()
    slow_first = sorted(CHECKS, key=lambda name: name != "types")
    with ThreadPoolExecutor(max_workers=2) as pool:
        red = [name for name, is_green in zip(slow_first, pool.map(_is_green, slow_first), strict=True) if not is_green]
    seconds = time.monotonic() - started
    verdict = f"FAILED: {', '.join(red)}" if red else "passed"
    print(f"make check: {verdict} ({seconds:.0f} s)", flush=True)
    return 1 if red else 0


def _is_green(name: str) -> bool:
    started = time.monotonic()
    done = subprocess.run(CHECKS[name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    is_green = done.returncode == 0
    details = "" if is_green else f"\n{done.stdout}"
    print(f"{'ok ' if is_green else 'RED'} {name} ({time.monotonic() - started:.1f} s){details}", flush=True)
    return is_green


if __name__ == "__main__":
    sys.exit(main())
