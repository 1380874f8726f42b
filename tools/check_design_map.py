"""Prove that docs/design-map.md is true: every path, symbol and test that it names exists.

A row of its tables is `| original | here | differs, and why | test |`. In `here` and `test`, code of the form `path` or
`path::symbol` is looked up (symbols with ast: classes, functions, methods, fields, constants; in TypeScript
declarations, and the titles of tests). What is not built yet is marked `planned: ROOM`, with ROOM from ROOMS, the parts
of the product; what is left out on purpose is marked `not taken`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAP = "docs/design-map.md"
ROOMS = frozenset({"correlation", "labeling", "scores", "API", "web UI", "workers", "exports", "benchmarks"})
NOT_TAKEN = "not taken"
TESTS = ("tests/", "ui/tests/")
HEADER = ["original", "here", "differs, and why", "test"]


@dataclass(frozen=True)
class Row:
    """One line of the map."""

    line: int
    original: str
    here: str
    differs: str
    test: str


def read_rows(text: str) -> Iterator[Row]:
    """The rows of every table whose header is HEADER; raises ValueError for a row with another number of cells."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells == HEADER:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and set("".join(cells)) != {"-"}:
            if len(cells) != len(HEADER):
                raise ValueError(f"line {number}: {len(cells)} cells, expected {len(HEADER)}")
            yield Row(number, *cells)


def find_faults(root: Path, text: str) -> Iterator[str]:
    """Every fault as `line N: message`."""
    seen: dict[str, int] = {}
    for row in read_rows(text):
        faults = [*_place_faults(root, "here", row.here), *_place_faults(root, "test", row.test)]
        if row.original in seen:
            faults.append(f"{row.original} is already in line {seen[row.original]}")
        seen[row.original] = row.line
        if not row.original or not row.differs:
            faults.append("an empty cell: say what it was, and what differs (or `nothing`)")
        yield from (f"line {row.line}: {fault}" for fault in faults)


def _place_faults(root: Path, column: str, cell: str) -> Iterator[str]:
    planned = re.findall(r"planned: ([A-Za-z ]+?)(?=[;,.]|$| \()", cell)
    yield from (
        f"planned: {room!r} is no room; rooms: {', '.join(sorted(ROOMS))}" for room in planned if room not in ROOMS
    )
    places = re.findall(r"`([^`]+)`", cell)
    if not places and not planned and NOT_TAKEN not in cell:
        yield f"the cell {column!r} names no place, is not planned and not marked {NOT_TAKEN!r}"
    for place in places:
        path, _, symbol = place.partition("::")
        if not (root / path).exists():
            yield f"{path} does not exist"
        elif symbol and not has_symbol(root / path, symbol):
            yield f"{path} has no {symbol}"
        elif column == "test" and not (path.startswith(TESTS) and symbol):
            yield f"{place} is no test: expected tests/…::test_name"


def has_symbol(path: Path, symbol: str) -> bool:
    """Whether the file defines `symbol`: a name in Python, a declaration or a title in TypeScript, else a word."""
    if path.suffix == ".py":
        return symbol in _symbols(path)
    name = re.escape(symbol)
    if path.name.endswith(".test.ts"):
        pattern = rf'^\s*(?:it|test)\("{name}"'
    elif path.suffix in (".ts", ".tsx"):
        pattern = rf"^(?:export )?(?:default )?(?:async )?(?:function|const|type|class) {name}\b"
    else:
        pattern = rf"(?<![\w-]){name}(?![\w-])"
    return path.is_file() and re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE) is not None


@cache
def _symbols(path: Path) -> frozenset[str]:
    return frozenset(_defined(ast.parse(path.read_text(encoding="utf-8")), ""))


def _defined(tree: ast.AST, prefix: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
                yield from _defined(node, f"{prefix}{name}.")
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name
            case ast.Assign(targets=targets):
                yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))
            case ast.If() | ast.Try() | ast.With():
                yield from _defined(node, prefix)


def main() -> int:
    """Print every fault and the number of rows; 1 when there is a fault."""
    root = Path.cwd()
    text = (root / MAP).read_text(encoding="utf-8")
    faults = list(find_faults(root, text))
    rows = list(read_rows(text))
    n_planned = sum("planned:" in row.here + row.test for row in rows)
    for fault in faults:
        print(f"{MAP}: {fault}")
    print(f"design map: {len(rows)} rows, {n_planned} with something planned, {len(faults)} fault(s)")
    return 1 if faults or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
