"""The budgets check finds each kind of planted excess and says nothing about sound code."""

from pathlib import Path

import pytest
from tools import check_budgets
from tools.check_budgets import check_folders, check_source

REPOSITORY = Path(__file__).parents[3]
OPENING = '"""Why this module exists, in one sentence."""\n'


def _messages(source: str, path: str = "src/featlas/core/planted.py") -> list[str]:
    return [finding.message for finding in check_source(path, source)]


def _function(n_lines: int, parameters: str = "") -> str:
    return f"def measure({parameters}):\n" + "    x = 1\n" * (n_lines - 1)


def test_sound_code_has_no_finding() -> None:
    source = OPENING + _function(60, "a, b, c, d, e, f, g")
    assert _messages(source) == []


def test_a_file_of_401_lines_is_found_and_one_of_400_is_not() -> None:
    assert _messages(OPENING + "\n" * 400) == ["401 lines, the budget is 400"]
    assert _messages(OPENING + "\n" * 399) == []


def test_a_function_of_61_lines_is_found() -> None:
    assert _messages(OPENING + _function(61)) == ["measure has 61 lines, the budget is 60"]


def test_a_nested_method_is_measured_by_its_own_name() -> None:
    body = "".join(f"    {line}\n" for line in _function(61).splitlines())
    assert _messages(OPENING + "class Moments:\n" + body) == ["Moments.measure has 61 lines, the budget is 60"]


def test_eight_parameters_are_found_but_not_in_a_command() -> None:
    source = OPENING + _function(2, "a, b, c, d, e, f, g, *, h")
    assert _messages(source) == ["measure has 8 parameters, the budget is 7"]
    assert _messages(source, "src/featlas/cli/planted.py") == []


def test_self_is_not_a_parameter() -> None:
    source = OPENING + "class A:\n    def f(self, a, b, c, d, e, f, g):\n        return a\n"
    assert _messages(source) == []


@pytest.mark.parametrize(
    ("definition", "word"),
    [
        ("class RunManager: pass", "manager"),
        ("class HTTPService: pass", "service"),
        ("def token_utils(): pass", "utils"),
        ("async def handle(): pass", "handle"),
        ("def load_data(): pass", "data"),
        ("def process_batch(): pass", "process"),
    ],
)
def test_banned_names_are_found(definition: str, word: str) -> None:
    name = definition.split()[1 if definition.startswith(("class", "def")) else 2].partition("(")[0].rstrip(":")
    assert _messages(OPENING + definition + "\n") == [f"{name!r} says nothing: the word {word!r} is banned in names"]


def test_a_banned_module_name_is_found() -> None:
    assert _messages(OPENING, "src/featlas/core/helpers.py") == [
        "'helpers' says nothing: the word 'helpers' is banned in names"
    ]


def test_a_noun_for_the_systems_processes_and_a_tests_sentence_are_fine() -> None:
    assert _messages(OPENING + "def spawn_process(): pass\ndef test_process_data(): pass\n") == []


def test_words_that_only_contain_a_banned_word_are_fine() -> None:
    source = OPENING + "def read_metadata(): pass\nclass Database: pass\ndef handler_of(): pass\n"
    assert _messages(source) == []


@pytest.mark.parametrize("opening", ["", '"""Moments."""\n', '"""no full stop at the end of it"""\n'])
def test_a_module_without_an_opening_sentence_is_found(opening: str) -> None:
    assert len(_messages(opening + "x = 1\n")) == 1


def test_an_empty_package_file_needs_no_sentence() -> None:
    assert _messages("", "src/featlas/core/__init__.py") == []


def test_folders_are_walked_and_named_relative_to_the_root(tmp_path: Path) -> None:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "deep" / "a.py").write_text("x = 1\n")
    assert [(finding.path, finding.line) for finding in check_folders(tmp_path)] == [("src/deep/a.py", 1)]


def test_a_raised_budget_is_used_and_every_raised_one_still_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = (check_budgets.RAISED_FILE_LINES, check_budgets.RAISED_FUNCTION_LINES, check_budgets.RAISED_PARAMETERS)
    for table in tables:
        for key, (_, reason) in table.items():
            assert (REPOSITORY / key.partition("::")[0]).exists(), key
            assert reason
    monkeypatch.setitem(check_budgets.RAISED_FILE_LINES, "src/featlas/core/planted.py", (500, "one long table"))
    assert _messages(OPENING + "\n" * 450) == []
