"""Keep the evidence of every published figure: what was measured, at which commit, on which machine, with what.

A test of `make prove` or `make bench` calls `save_record("extraction", {"tokens_per_s": 1234.5})`; the result is
docs/records/extraction.json. Documents quote it as `<!-- figure extraction.tokens_per_s .0f -->1,234<!-- end -->`;
`make docs` fills the value in and `make check` refuses a quote without its record (tools/check_figures.py).
"""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).parents[1]
RECORDS = REPOSITORY / "docs" / "records"
PACKAGES = ("featlas", "torch", "transformers", "numpy", "scipy", "sqlalchemy", "pyarrow")

Figure = int | float | str | bool


@dataclass(frozen=True)
class Record:
    """One measurement; `figures` are named with their units (`_s`, `_bytes`, …), `settings` say what ran."""

    name: str
    figures: dict[str, Figure]
    settings: dict[str, Any]
    commit: str
    is_dirty: bool
    measured_at: str
    machine: dict[str, Any]
    versions: dict[str, str]


def save_record(
    name: str, figures: Mapping[str, Figure], *, settings: Mapping[str, Any] | None = None, folder: Path = RECORDS
) -> Record:
    """Write `<folder>/<name>.json` and return what was written.

    Raises ValueError for a name that is no file name, or a figure that is empty or not finite: what was not measured
    is left out, never written as NaN.
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"record name {name!r}: expected letters, digits, - and _")
    for key, figure in figures.items():
        if figure == "" or (isinstance(figure, float) and not math.isfinite(figure)):
            raise ValueError(f"figure {name}.{key} is {figure!r}: leave out what was not measured")
    record = Record(
        name=name,
        figures=dict(figures),
        settings=dict(settings or {}),
        commit=_git("rev-parse", "HEAD"),
        # Records themselves change nothing that is measured, and one part's must not spoil the next part's.
        is_dirty=bool(_git("status", "--porcelain", "--untracked-files=no", "--", ":!docs/records")),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        versions=_installed_versions(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return record


def load_records(folder: Path = RECORDS) -> dict[str, Record]:
    """Every record by name, none where there is no folder. Raises TypeError for a record with missing fields."""
    paths = sorted(folder.glob("*.json"))
    return {path.stem: Record(**json.loads(path.read_text(encoding="utf-8"))) for path in paths}


def describe_machine() -> dict[str, Any]:
    """Processor, cores in use, memory and system, without the machine's name."""
    return {
        "processor": _processor_name(),
        "n_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "accelerator": _accelerator_name(),
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _accelerator_name() -> str:
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _installed_versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
