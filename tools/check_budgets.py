"""Keep files, functions and names within the house's budgets, so that a reader can hold each one in mind.

Run as `python -m tools.check_budgets [FOLDER …]` from the repository root. Complexity is ruff's (C901).
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 7

BANNED_WORDS = {"manager", "managers", "service", "services", "helper", "helpers", "util", "utils"}
BANNED_WORDS |= {"common", "base", "handle", "data", "info"}
BANNED_VERBS = {"process"}  # as a noun, of the system's processes, the word is exact: `spawn_process`

# Every raised budget, with its reason. Key: path, or path::function; value: (budget, reason).
RAISED_FILE_LINES: dict[str, tuple[int, str]] = {
    "src/featlas/store/migrations/versions/0001_first.py": (700, "a frozen list of columns, read once"),
    "src/featlas/domain.py": (640, "the nouns that all rooms share, in one place"),
    "src/featlas/cli/main.py": (440, "every command with its options and help: what a person types, as one list"),
    "src/featlas/api/schemas.py": (680, "the API's contract, read as one"),
    "tests/integration/test_local_runner.py": (
        500,
        "one bench of jobs, workers and signals, which every test here uses",
    ),
    "tests/unit/store/test_reviews.py": (490, "one desk with people and machines, which every test here uses"),
    "tests/e2e/pages/test_review_screen.py": (450, "one session at the desk, key by key"),
    "tests/unit/store/test_listing.py": (510, "one made-up store and one plain filter, which every test here reads"),
}
RAISED_FUNCTION_LINES: dict[str, tuple[int, str]] = {
    "src/featlas/store/migrations/versions/0001_first.py::_labels": (90, "a frozen list of columns, read once"),
}
RAISED_PARAMETERS: dict[str, tuple[int, str]] = {}

# Names that a library or a standard prescribes. Key: name; value: reason.
PRESCRIBED_NAMES: dict[str, str] = {
    "process_bind_param": "SQLAlchemy's TypeDecorator calls it",
    "process_result_value": "SQLAlchemy's TypeDecorator calls it",
}

FOLDERS = ("src", "tools", "tests")
MANY_PARAMETERS_ALLOWED = ("src/featlas/cli/", "tests/")  # a command's options, a test's fixtures
NO_OPENING_SENTENCE = ("tests/", "src/featlas/store/migrations/")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Finding:
    """One broken budget, as `path:line: message`."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def check_source(path: str, source: str) -> list[Finding]:
    """All findings in one Python file; `path` is relative to the repository root, with forward slashes."""
    tree = ast.parse(source)
    return [
        *_check_file_length(path, source),
        *_check_opening(path, tree),
        *_check_module_name(path),
        *(finding for qualified, node in _definitions(tree) for finding in _check_definition(path, qualified, node)),
    ]


def check_folders(root: Path, folders: tuple[str, ...] = FOLDERS) -> list[Finding]:
    """All findings in the Python files below the given folders."""
    files = sorted(file for folder in folders for file in (root / folder).rglob("*.py"))
    return [
        finding
        for file in files
        for finding in check_source(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8"))
    ]


def _definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name, node
            yield from _definitions(node, f"{prefix}{node.name}.")
        else:
            yield from _definitions(node, prefix)


def _check_file_length(path: str, source: str) -> Iterator[Finding]:
    budget = RAISED_FILE_LINES.get(path, (MAX_FILE_LINES, ""))[0]
    n_lines = len(source.splitlines())
    if n_lines > budget:
        yield Finding(path, 1, f"{n_lines} lines, the budget is {budget}")


def _check_opening(path: str, tree: ast.Module) -> Iterator[Finding]:
    if path.startswith(NO_OPENING_SENTENCE) or not tree.body:
        return
    opening = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
    if not re.match(r"\S+( \S+){2,}?[.!?](\s|$)", opening):
        yield Finding(path, 1, "a module opens with one sentence that says why it exists, ending in a full stop")


def _check_module_name(path: str) -> Iterator[Finding]:
    for part in Path(path).with_suffix("").parts:
        yield from _check_name(path, 1, part)


def _check_definition(path: str, qualified: str, node: Function | ast.ClassDef) -> Iterator[Finding]:
    if not node.name.startswith("test_"):  # a test's name is a sentence
        yield from _check_name(path, node.lineno, node.name)
    if isinstance(node, ast.ClassDef):
        return
    key = f"{path}::{qualified}"
    n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
    budget = RAISED_FUNCTION_LINES.get(key, (MAX_FUNCTION_LINES, ""))[0]
    if n_lines > budget:
        yield Finding(path, node.lineno, f"{qualified} has {n_lines} lines, the budget is {budget}")
    n_parameters = _count_parameters(node)
    budget = RAISED_PARAMETERS.get(key, (MAX_PARAMETERS, ""))[0]
    if n_parameters > budget and not path.startswith(MANY_PARAMETERS_ALLOWED):
        yield Finding(path, node.lineno, f"{qualified} has {n_parameters} parameters, the budget is {budget}")


def _count_parameters(node: Function) -> int:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in arguments)


def _check_name(path: str, line: int, name: str) -> Iterator[Finding]:
    if name in PRESCRIBED_NAMES:
        return
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    for word in sorted(BANNED_WORDS.intersection(words) | BANNED_VERBS.intersection(words[:1])):
        yield Finding(path, line, f"{name!r} says nothing: the word {word!r} is banned in names")


def main() -> int:
    """Print every finding; 1 when there is one."""
    findings = check_folders(Path.cwd(), tuple(sys.argv[1:]) or FOLDERS)
    for finding in findings:
        print(finding)
    print(f"budgets: {len(findings)} finding(s)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
