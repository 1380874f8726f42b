"""The checks of links, figures and the design map find planted faults, and records keep what they are given."""

import json
from pathlib import Path

import pytest
from tools.check_design_map import find_faults as find_map_faults
from tools.check_figures import check_figures
from tools.check_links import check_links
from tools.figures import fill_in
from tools.record import load_records, save_record

HEADER = "| original | here | differs, and why | test |\n|---|---|---|---|\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository: one module, one test, one page."""
    (tmp_path / "src").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "src" / "a.py").write_text("LIMIT = 1\nclass A:\n    x: int\n    def f(self): pass\n")
    (tmp_path / "tests" / "test_a.py").write_text("def test_a(): pass\n")
    (tmp_path / "ui" / "src").mkdir(parents=True)
    (tmp_path / "ui" / "tests").mkdir()
    (tmp_path / "ui" / "src" / "d.tsx").write_text(
        "export const WIDTH = 1;\ntype Props = { x: 1 };\n// Cell\n"
        "export function Row() {\n  const width = <Cell />;\n}\n"
    )
    (tmp_path / "ui" / "tests" / "d.test.ts").write_text('it("adds up", () => {});\n')
    (tmp_path / "docs" / "page.md").write_text("# The first part\n")
    return tmp_path


def test_a_true_map_has_no_fault(tree: Path) -> None:
    rows = [
        "| class A | `src/a.py::A`, `src/a.py::A.x` | nothing | `tests/test_a.py::test_a` |",
        "| A.f | `src/a.py::A.f` and `src/a.py::LIMIT` | more | planned: API |",
        "| B | not taken | it was wrong | not taken |",
        "| C | planned: web UI | later | planned: web UI |",
        "| D | `ui/src/d.tsx::Row`, `ui/src/d.tsx::WIDTH`, `ui/src/d.tsx::Props` | x | `ui/tests/d.test.ts::adds up` |",
    ]
    assert list(find_map_faults(tree, HEADER + "\n".join(rows))) == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| A | `src/b.py` | x | planned: API |", "src/b.py does not exist"),
        ("| A | `src/a.py::B` | x | planned: API |", "src/a.py has no B"),
        ("| A | `src/a.py::A.g` | x | planned: API |", "src/a.py has no A.g"),
        ("| A | `src/a.py::A` | x | `tests/test_a.py::test_b` |", "tests/test_a.py has no test_b"),
        ("| A | `src/a.py::A` | x | `src/a.py::A` |", "src/a.py::A is no test: expected tests/…::test_name"),
        ("| D | `ui/src/d.tsx::Cell` | x | planned: API |", "ui/src/d.tsx has no Cell"),
        ("| D | `ui/src/d.tsx::width` | x | planned: API |", "ui/src/d.tsx has no width"),
        ("| D | `ui/src/d.tsx::Row` | x | `ui/tests/d.test.ts::adds` |", "ui/tests/d.test.ts has no adds"),
        ("| A | planned: the moon | x | planned: API |", "planned: 'the moon' is no room"),
        ("| A | somewhere | x | planned: API |", "the cell 'here' names no place"),
        ("| A | `src/a.py::A` |  | planned: API |", "an empty cell"),
    ],
)
def test_a_false_row_is_found(tree: Path, row: str, fault: str) -> None:
    (found,) = find_map_faults(tree, HEADER + row)
    assert found.startswith(f"line 3: {fault}")


def test_the_same_thing_twice_is_found(tree: Path) -> None:
    row = "| A | `src/a.py::A` | x | planned: API |\n"
    assert list(find_map_faults(tree, HEADER + row + row)) == ["line 4: A is already in line 3"]


def test_links_to_files_and_headings_are_followed(tree: Path) -> None:
    (tree / "README.md").write_text(
        "[ok](docs/page.md) [ok](docs/page.md#the-first-part) [ok](https://example.org) `[code](nowhere)`\n"
    )
    assert list(check_links(tree)) == []
    (tree / "README.md").write_text("[a](docs/none.md) [b](docs/page.md#the-second-part)\n")
    assert list(check_links(tree)) == [
        "README.md: the link docs/none.md leads to nothing",
        "README.md: the link docs/page.md#the-second-part names a heading that is not there",
    ]


def test_a_readme_of_151_lines_is_found(tree: Path) -> None:
    (tree / "README.md").write_text("line\n" * 151)
    assert list(check_links(tree)) == ["README.md: 151 lines, the budget is 150"]


def test_a_record_is_kept_with_its_circumstances(tmp_path: Path) -> None:
    saved = save_record("pass", {"tokens_per_s": 1234.5}, settings={"threads": 2}, folder=tmp_path)
    written = json.loads((tmp_path / "pass.json").read_text())
    assert load_records(tmp_path) == {"pass": saved}
    assert written["figures"] == {"tokens_per_s": 1234.5}
    assert len(written["commit"]) == 40
    assert written["machine"]["n_cores"] >= 1
    assert written["versions"]["numpy"]


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), ""])
def test_what_was_not_measured_is_refused(tmp_path: Path, figure: float | str) -> None:
    with pytest.raises(ValueError, match="leave out what was not measured"):
        save_record("pass", {"tokens_per_s": figure}, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_figures_are_filled_in_from_records_and_drift_is_found(tree: Path) -> None:
    save_record("pass", {"tokens_per_s": 1234.56, "share": 0.9312}, folder=tree / "docs" / "records")
    records = load_records(tree / "docs" / "records")
    page = "<!-- figure pass.tokens_per_s .0f -->?<!-- end --> and <!-- figure pass.share .1% -->?<!-- end -->\n"
    (tree / "README.md").write_text(page)
    assert len(list(check_figures(tree, records))) == 2
    filled = fill_in(page, records)
    assert ">1,235<" in filled
    assert ">93.1%<" in filled
    (tree / "README.md").write_text(filled)
    assert list(check_figures(tree, records)) == []


def test_a_figure_without_a_record_is_found(tree: Path) -> None:
    (tree / "README.md").write_text("<!-- figure pass.tokens_per_s -->1,235<!-- end -->\n")
    assert list(check_figures(tree, {})) == ["README.md: the figure pass.tokens_per_s has no record in docs/records"]


def test_a_bare_number_is_found_in_the_benchmarks_only(tree: Path) -> None:
    text = "## 2 machines\n\n1. Run `make bench` with `--tokens 1000`; it took 52 seconds.\n"
    (tree / "docs" / "benchmarks.md").write_text(text)
    (tree / "docs" / "page.md").write_text(text)
    (fault,) = check_figures(tree, {})
    assert fault.startswith("docs/benchmarks.md: the number 52 has no record")
