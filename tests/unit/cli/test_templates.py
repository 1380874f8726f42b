"""Templates from the command line: every command, in this process, over a store in a home of its own."""

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from featlas.cli.main import main

TEXT = "{tokens} {answer_format}\n"
OTHER = "{examples}\n{answer_format}\n"


class Cli:
    """The command, and what it printed last."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.err = ""

    def __call__(self, *arguments: object, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["templates", *map(str, arguments)])
        printed = self.capsys.readouterr()
        self.err = printed.err
        assert (ended.value.code or 0) == code, printed
        assert (code == 0) == (not printed.err.startswith("featlas: "))
        return printed.out

    def json(self, *arguments: object) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self(*arguments, "--json").splitlines()]

    def refused(self, *arguments: object, code: int = 2) -> str:
        assert self(*arguments, code=code) == ""
        return self.err

    def file(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def add(self, name: str = "mine", *more: object) -> dict[str, Any]:
        (added,) = self.json("add", name, "--user-file", self.file("user.txt", TEXT), *more)
        return added


@pytest.fixture
def cli(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    for home in ("home", "elsewhere"):
        (tmp_path / home).mkdir()
        shutil.copy(sqlite_template, tmp_path / home / "featlas.db")
    monkeypatch.setenv("FEATLAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FEATLAS_STORE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(tmp_path, capsys)


def test_a_new_home_has_the_templates_that_come_with_featlas(cli: Cli) -> None:
    lines = cli("ls").splitlines()
    assert lines[0].split() == ["template", "name", "version", "jobs", "marks", "description"]
    assert [line.split()[1] for line in lines[1:]] == ["general", "contrastive", "original", "rare"]
    assert "default, came with Featlas" in lines[1]
    (first, *_) = cli.json("ls")
    assert (first["name"], first["is_default"], first["evidence"]["n_top"]) == ("general", True, 6)


def test_a_template_is_shown_with_its_texts_and_versions(cli: Cli) -> None:
    cli.add("mine", "--description", "why [bold]", "--system-file", cli.file("system.txt", "Explain {model}.\n"))
    cli("edit", "mine", "--n-tokens", 3)
    cli("edit", "mine", "--n-tokens", 15)
    page = cli("show", "mine")
    for part in ("why [bold]", "Explain {model}.", TEXT.strip(), "variables: {tokens} {answer_format} {model}"):
        assert part in page
    assert "version 3 of 3, used by 0 labeling jobs" in page
    states = [line.split(maxsplit=4)[-1].strip() for line in page.splitlines()[-3:]]
    assert states == ["in force", "stale", "the same words as in force"]
    (shown,) = cli.json("show", "mine", "--version", 2)
    assert (shown["version"], shown["evidence"]["n_tokens"]) == (2, 3)
    assert [version["is_stale"] for version in shown["versions"]] == [False, True, False]


def test_only_what_is_given_is_edited(cli: Cli) -> None:
    first = cli.add("mine", "--n-top", 3, "--description", "why")
    (second,) = cli.json("edit", "mine", "--user-file", cli.file("other.txt", OTHER), "--window", 64)
    assert (second["version"], second["user"], second["system"]) == (2, OTHER, "")
    assert second["evidence"] == {**first["evidence"], "n_top": 3, "window": 64}
    assert cli("edit", "mine", "--name", "yours", "--description", "-because") == "template 5 yours: version 2\n"
    (third,) = cli.json("edit", "yours", "--version", 1)
    assert (third["version"], third["user"], third["description"]) == (3, TEXT, "-because")
    assert third["content_hash"] == first["content_hash"]


def test_texts_come_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT))
    assert cli("add", "mine", "--user-file", "-") == "template 5 mine: version 1\n"
    assert cli.json("show", "mine")[0]["user"] == TEXT
    assert "cannot both be standard input" in cli.refused("add", "x", "--user-file", "-", "--system-file", "-")


def test_a_file_with_foreign_line_breaks_is_read_as_text(cli: Cli) -> None:
    path = cli.folder / "windows.txt"
    path.write_bytes("\ufeff{tokens}\r\n{answer_format}\r\n".encode())
    (added,) = cli.json("add", "mine", "--user-file", path)
    assert added["user"] == "{tokens}\n{answer_format}\n"


def test_clone_default_favourite_and_delete(cli: Cli) -> None:
    assert cli("clone", "rare", "mine") == "template 5 mine: version 1\n"
    assert cli("default", "mine") == "template 5 mine: version 1, default\n"
    assert cli("favorite", "mine") == "template 5 mine: version 1, default, favourite\n"
    assert [one["name"] for one in cli.json("ls", "--favorites")] == ["mine"]
    assert cli("favorite", "mine", "--off") == "template 5 mine: version 1, default\n"
    assert cli("ls", "--favorites") == "no favourites yet; `featlas templates favorite NAME` marks one\n"
    assert "is the default" in cli.refused("rm", "mine", code=4)
    cli("default", "general")
    assert cli("rm", "mine") == "template 5 mine is deleted\n"
    assert "came with Featlas" in cli.refused("rm", "rare", code=4)


def test_what_is_exported_is_imported_elsewhere(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.add("mine", "--description", "説明", "--n-tokens", 7)
    printed = cli("export", "mine", "mine")
    assert [one["name"] for one in json.loads(printed)["templates"]] == ["mine"]
    path = cli.folder / "all.json"
    assert cli("export", "--to", path) == ""
    assert cli.err == f"5 templates written to {path}\n"
    monkeypatch.setenv("FEATLAS_HOME", str(cli.folder / "elsewhere"))
    assert "templates of these names exist: 'general'" in cli.refused("import", path, code=4)
    assert [one["name"] for one in cli.json("ls")] == ["general", "contrastive", "original", "rare"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(printed))
    assert cli("import", "-") == "template 5 mine: version 1\n"
    shown = cli.json("show", "mine")[0]
    assert (shown["description"], shown["user"], shown["evidence"]["n_tokens"]) == ("説明", TEXT, 7)
    assert [one["version"] for one in cli.json("import", path, "--update")] == [1, 1, 1, 1, 1]


def test_a_file_is_validated_and_nothing_saved(cli: Cli) -> None:
    cli.add()
    good = cli.file("good.json", cli("export", "mine"))
    assert cli("validate", good) == "nothing is wrong\n"
    bad = cli.file("bad.json", good.read_text().replace("{tokens}", "{tokns}"))
    assert "template 'mine': user text, line 1: there is no variable {tokns}" in cli.refused("validate", bad)
    named = cli.file("named.json", good.read_text().replace('"mine"', '"12"'))
    assert "digits alone" in cli.refused("validate", named)
    assert json.loads(cli("validate", good, "--json")) == {"problems": []}


def test_two_texts_are_validated(cli: Cli) -> None:
    user = cli.file("user.txt", TEXT)
    assert cli("validate", "--user-file", user) == "nothing is wrong\n"
    assert "{tokens} would be empty: n_tokens is 0" in cli.refused("validate", "--user-file", user, "--n-tokens", 0)
    assert "expected either a file" in cli.refused("validate")
    assert "expected either a file" in cli.refused("validate", user, "--user-file", user)
    with pytest.raises(SystemExit) as ended:
        main(["templates", "validate", "--user-file", str(cli.file("bad.txt", "{tokens}")), "--json"])
    assert ended.value.code == 2
    (problem,) = json.loads(cli.capsys.readouterr().out)["problems"]
    assert problem.startswith("neither text has {answer_format}")


def test_variables_are_listed(cli: Cli) -> None:
    assert "{answer_format}  the JSON to answer with" in cli("variables")
    assert {"name": "model", "meaning": "the name of the model"} in cli.json("variables")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "nobody"), 3, "no template has the number, name or uid 'nobody'"),
        (("show", "general", "--version", "7"), 3, "has no version 7"),
        (("show", "general", "--version", "x"), 2, "--version 'x': expected a whole number"),
        (("edit", "general"), 2, "nothing to change"),
        (("edit", "nobody", "--n-top", "3"), 3, "no template"),
        (("edit", "general", "--name", "mine"), 4, "keeps its name"),
        (("edit", "general", "--n-top", "51"), 2, "n_top 51: expected 0 … 50"),
        (("edit", "general", "--n-top", "1.5"), 2, "--n-top '1.5': expected a whole number"),
        (("clone", "general", "12"), 2, "digits alone mean its number"),
        (("clone", "general", "rare"), 4, "'rare' exists already"),
        (("add", "mine"), 2, "--user-file"),
        (("add", "mine", "--user-file", "not/there.txt"), 2, "cannot read not/there.txt: No such file"),
        (("import", "not/there.json"), 2, "cannot read not/there.json"),
        (("export", "nobody"), 3, "no template"),
        (("export", "--to", "not/there/x.json"), 5, "cannot write not/there/x.json: No such file"),
        (("default", "nobody"), 3, "no template"),
    ],
)
def test_what_cannot_be_is_refused(cli: Cli, arguments: tuple[str, ...], code: int, message: str) -> None:
    assert message in cli.refused(*arguments, code=code)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "is not text in UTF-8 (byte 0)"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "this is no file of prompt templates"),
        (b'{"featlas_prompt_templates": 1, "templates": [{"name": "a", "user": "{x_y}"}]}', "no variable {x_y}"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(cli: Cli, content: bytes, message: str) -> None:
    path = cli.folder / "bad.json"
    path.write_bytes(content)
    told = cli.refused("import", path)
    assert message in told
    assert str(path) in told
    assert len(cli.json("ls")) == 4


def test_a_wording_in_which_anything_is_wrong_is_not_saved(cli: Cli) -> None:
    bad = cli.file("bad.txt", "{tokens.__class__} {answer_format} {x_y}")
    for command in (("add", "mine"), ("edit", "general")):
        told = cli.refused(*command, "--user-file", bad)
        assert "{tokens.__class__} is not a variable" in told
        assert "there is no variable {x_y}" in told
    assert [(one["name"], one["version"]) for one in cli.json("ls")] == [
        ("general", 1),
        ("contrastive", 1),
        ("original", 1),
        ("rare", 1),
    ]


def test_the_group_is_part_of_the_command(cli: Cli) -> None:
    assert "validate" in cli("--help")
