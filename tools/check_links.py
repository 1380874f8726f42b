"""Refuse documents with links that lead nowhere in this repository, and a README that is too long."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

MAX_README_LINES = 150
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
_FENCED = re.compile(r"```.*?```", re.S)


def check_links(root: Path) -> Iterator[str]:
    """Every fault as `path: message`."""
    for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("data/**/*.md")]):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        for match in _LINK.finditer(_CODE.sub("", text)):
            if fault := _fault(path, match["target"]):
                yield f"{name}: the link {match['target']} {fault}"
    readme = root / "README.md"
    if readme.exists() and (n_lines := len(readme.read_text(encoding="utf-8").splitlines())) > MAX_README_LINES:
        yield f"README.md: {n_lines} lines, the budget is {MAX_README_LINES}"


def _fault(document: Path, target: str) -> str:
    if re.match(r"[a-z]+:", target):
        return ""
    file_part, _, anchor = unquote(target).partition("#")
    path = (document.parent / file_part) if file_part else document
    if not path.exists():
        return "leads to nothing"
    if anchor and anchor not in _anchors(path.read_text(encoding="utf-8")):
        return "names a heading that is not there"
    return ""


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ +(.+?)\s*$", _FENCED.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main() -> int:
    """Print every fault; 1 when there is one."""
    faults = list(check_links(Path.cwd()))
    print("\n".join([*faults, f"links: {len(faults)} fault(s)"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
