"""The runners of the house judge rightly: mutants are tallied, parts chosen, settings written, red checks shown."""

import json
from pathlib import Path

import pytest
from tools import check
from tools.generate_docs import find_drift, settings_page
from tools.mutants import Tally, count_outcomes
from tools.prove import find_parts, run_part

from featlas.settings import Settings


def _save_verdicts(folder: Path, name: str, verdicts: dict[str, int | None]) -> None:
    (folder / f"{name}.meta").write_text(json.dumps({"exit_code_by_key": verdicts}))


def test_mutants_are_tallied_over_files(tmp_path: Path) -> None:
    _save_verdicts(tmp_path, "a.py", {"m.a__1": 1, "m.a__2": 0, "m.a__3": 36, "m.a__4": 33})
    _save_verdicts(tmp_path, "b.py", {"m.b__1": 1, "m.b__2": None, "m.b__3": -11})
    tally = count_outcomes(tmp_path, [])
    assert tally == Tally(n_killed=3, survivors=["m.a__2", "m.b__3"], uncovered=["m.a__4"], n_not_run=1)
    assert tally.killed_share == 0.5


def test_mutants_are_chosen_by_pattern(tmp_path: Path) -> None:
    _save_verdicts(tmp_path, "a.py", {"m.a__1": 1, "m.b__1": 0})
    assert count_outcomes(tmp_path, ["m.b*"]).survivors == ["m.b__1"]


def test_nothing_judged_is_no_success(tmp_path: Path) -> None:
    assert count_outcomes(tmp_path, []).killed_share == 0.0


def test_parts_are_run_in_order_or_chosen(tmp_path: Path) -> None:
    for name in ("test_b.py", "test_a.py", "conftest.py"):
        (tmp_path / name).touch()
    assert [part.name for part in find_parts(tmp_path, [])] == ["test_a.py", "test_b.py"]
    assert [part.name for part in find_parts(tmp_path, ["b"])] == ["test_b.py"]


def test_an_unknown_part_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nothing to run; parts: none"):
        find_parts(tmp_path, [])
    (tmp_path / "test_a.py").touch()
    with pytest.raises(SystemExit, match="no part b; parts: a"):
        find_parts(tmp_path, ["b"])


@pytest.mark.parametrize(("body", "status"), [("assert True", 0), ("assert False", 1)])
def test_a_part_is_judged_by_its_exit_status_and_has_a_log(tmp_path: Path, body: str, status: int) -> None:
    part = tmp_path / "test_a.py"
    part.write_text(f"def test_it():\n    print('seen')\n    {body}\n")
    log = tmp_path / "logs" / "a.log"
    assert run_part(part, log) == status
    assert "seen" in log.read_text()


def test_every_setting_is_written_down_with_its_meaning() -> None:
    page = settings_page()
    for name, field in Settings.model_fields.items():
        assert f"| `FEATLAS_{name.upper()}` |" in page
        assert f"| {field.description} |" in page


def test_a_page_that_differs_or_is_missing_has_drifted(tmp_path: Path) -> None:
    (tmp_path / "same.md").write_text("text")
    (tmp_path / "other.md").write_text("text")
    wanted = {tmp_path / "same.md": "text", tmp_path / "other.md": "new text", tmp_path / "missing.md": "text"}
    assert find_drift(wanted) == [tmp_path / "other.md", tmp_path / "missing.md"]


def test_one_red_check_makes_the_whole_red_and_shows_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "CHECKS", {"good": ["true"], "bad": ["sh", "-c", "echo the reason; exit 3"]})
    assert check.main() == 1
    printed = capsys.readouterr().out
    assert "the reason" in printed
    assert "make check: FAILED: bad" in printed


def test_all_green_checks_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CHECKS", {"good": ["true"]})
    assert check.main() == 0
