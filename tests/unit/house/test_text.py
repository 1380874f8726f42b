"""The text check finds what only its writer understands and leaves sound text alone."""

import pytest
from tools.check_text import check_text

FAULTY = [
    ("docs/a.md", "Look in /" + "work/main/docs.", "local path"),
    ("src/a.py", 'HOME = "/' + 'root"', "local path"),
    ("tests/a.py", "path = '/" + "tmp/x.db'", "local path"),
    ("README.md", "See /home/ada/notes.", "local path"),
    ("ui/package.json", '"resolved": "https://registry.npmjs' + '.org/x"', "registry host"),
    ("README.md", "pip install -i https://pypi" + ".org/simple", "registry host"),
    ("docs/a.md", "As decided in #12.", "tracker number"),
    ("docs/a.md", "As issue 12 says.", "tracker number"),
    ("docs/a.md", "Closes issues/7", "tracker number"),
    ("docs/a.md", "The agent wrote this.", "word of another place"),
    ("src/a.py", "x = 1  # steering vector", "word of another place"),
    ("src/a.py", '"""What the next session does."""', "session outside a database"),
    ("docs/a.md", "In an earlier session we saw it.", "session outside a database"),
]

SOUND = [
    (
        "docs/a.md",
        "A relative path such as docs/" + "work/plan.md, a URL https://example.org/" + "tmp/x, a key `a/" + "root`.",
    ),
    ("docs/a.md", "Colours #fff and &#1234; and [a link](page.md#3-parts), and C# 12."),
    ("docs/a.md", "One write session per publication; a database session is short; `Session` is SQLAlchemy's."),
    ("src/a.py", "with self.session() as session:"),
    ("src/a.py", '@pytest.fixture(scope="session")'),
    ("src/featlas/store/read.py", '"""Reading in one session sees one state."""'),
    ("src/a.py", 'headers = {"User-Agent": "featlas"}'),
    ("docs/a.md", "The issue with 12 features is their size."),
    ("docs/a.md", "Addresses as /s/{sae}/f/{i} and workspaces."),
]


@pytest.mark.parametrize(("path", "text", "rule"), FAULTY)
def test_planted_faults_are_found(path: str, text: str, rule: str) -> None:
    faults = list(check_text(path, f"fine\n{text}\n"))
    assert [fault.startswith(f"{path}:2: {rule} ") for fault in faults] == [True]


@pytest.mark.parametrize(("path", "text"), SOUND)
def test_sound_text_has_no_fault(path: str, text: str) -> None:
    assert list(check_text(path, text)) == []
