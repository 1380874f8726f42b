"""Refuse committed text that only its writer understands: local paths, registry hosts, tracker numbers, lost words.

Reads the files that git tracks. What is legitimate is exempted below, by file and by reason.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

# Put together here, because the hosts' names may stand in no file, this one included.
REGISTRIES = tuple(
    f"{name}.{ending}"
    for ending, names in {
        "org": ("pypi", "pypi.python", "pythonhosted", "download.pytorch", "npmjs", "anaconda", "proxy.golang"),
        "com": ("npmjs", "yarnpkg"),
        "io": ("crates", "docker", "quay", "ghcr"),
    }.items()
    for name in names
)


@dataclass(frozen=True)
class Rule:
    """What must not appear, and what to do about it."""

    name: str
    pattern: re.Pattern[str]
    advice: str


RULES = (
    Rule(
        "local path",
        re.compile(r"(?<![\w./~-])/(?:root|work|tmp|home/\w+|Users/\w+)(?=/|\b(?![\w-]))"),
        "use a path relative to the repository, or the test's tmp_path",
    ),
    Rule(
        "registry host",
        re.compile("|".join(re.escape(host) for host in REGISTRIES), re.I),
        "name the project, not the host it was downloaded from",
    ),
    Rule(
        "tracker number",
        re.compile(r"(?<![\w&#/])#\d{1,5}\b(?![\w;-])|\b(?:issue|issues|pull request|PR|ticket)s?[ /]#?\d+\b", re.I),
        "say what it is about: the text must stand alone",
    ),
    Rule(
        "word of another place",
        re.compile(
            r"\bagents?\b|\bsteering\b|\bseed document\b|\bfounding engineer\b",
            re.I,
        ),
        "the product's text speaks of the product",
    ),
    Rule(
        "session outside a database",
        re.compile(r"\bsessions?\b", re.I),
        "say `database session` (or mark the code as code); other sessions are not part of the product",
    ),
)

LEGITIMATE = re.compile(r"\b(?:database|write|read|SQLAlchemy|pytest)(?:'s)? sessions?\b|\buser[-_ ]agents?\b", re.I)

# (file pattern, rule name, reason)
EXEMPT = (
    ("tools/check_text.py", "*", "the rules themselves"),
    ("tests/unit/house/test_text.py", "*", "plants violations"),
    ("src/featlas/store/*.py", "session outside a database", "there a session is SQLAlchemy's"),
    ("src/featlas/worker/*.py", "session outside a database", "there a session is POSIX's, a set of processes"),
    ("tests/*/store/*.py", "session outside a database", "there a session is SQLAlchemy's"),
    ("data/*", "*", "texts of other people"),
    ("ui/package-lock.json", "registry host", "written by npm"),
    ("ui/package-lock.json", "word of another place", "names of packages"),
    ("LICENSE", "*", "written by the Apache Software Foundation"),
)


def check_text(path: str, text: str) -> Iterator[str]:
    """Every fault in one file, as `path:line: message`."""
    rules = [rule for rule in RULES if not _is_exempt(path, rule)]
    for number, line in enumerate(text.splitlines(), start=1):
        for rule in rules:
            subject = _without_code(path, line) if rule.name == "session outside a database" else line
            if match := rule.pattern.search(LEGITIMATE.sub("", subject)):
                yield f"{path}:{number}: {rule.name} {match.group(0)!r}: {rule.advice}"


def _is_exempt(path: str, rule: Rule) -> bool:
    return any(fnmatch(path, pattern) and name in ("*", rule.name) for pattern, name, _ in EXEMPT)


def _without_code(path: str, line: str) -> str:
    """Of a Python line only its comment (and of a docstring's line everything): identifiers are free."""
    line = re.sub(r"`[^`]*`", "", line)
    if not path.endswith(".py") or not re.search(r"[=(\[:]|^\s*(?:import|from|with|return)\b", line):
        return line
    return line.partition("#")[2]


def tracked_files(root: Path) -> list[Path]:
    """The files that git tracks or would add, as far as they are text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [root / name for name in listed.split("\0") if name and (root / name).is_file()]


def main() -> int:
    """Print every fault; 1 when there is one."""
    root = Path.cwd()
    faults: list[str] = []
    for path in tracked_files(root):
        content = path.read_bytes()
        if b"\0" not in content[:8192] and not path.name.endswith((".gz", ".safetensors")):
            faults += check_text(path.relative_to(root).as_posix(), content.decode("utf-8", errors="replace"))
    print("\n".join([*faults, f"text: {len(faults)} fault(s)"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
