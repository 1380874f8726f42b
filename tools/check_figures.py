"""Refuse a published figure without a record: quotes in every document, bare numbers in docs/benchmarks.md."""

import sys
from collections.abc import Iterator
from pathlib import Path

from tools.figures import find_faults, find_loose_numbers
from tools.record import Record, load_records

BENCHMARKS = "docs/benchmarks.md"


def check_figures(root: Path, records: dict[str, Record]) -> Iterator[str]:
    """Every fault as `path: message`."""
    for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("data/**/*.md")]):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        faults = list(find_faults(text, records))
        if name == BENCHMARKS:
            faults += find_loose_numbers(text)
        yield from (f"{name}: {fault}" for fault in faults)


def main() -> int:
    """Print every fault; 1 when there is one."""
    root = Path.cwd()
    faults = list(check_figures(root, load_records(root / "docs" / "records")))
    print("\n".join([*faults, f"figures: {len(faults)} fault(s)"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
