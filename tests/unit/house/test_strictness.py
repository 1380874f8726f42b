import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SUITE = """
import pytest

def test_runs():
    pass

@pytest.mark.skip(reason="not today")
def test_skipped():
    pass

def test_skips_itself():
    pytest.skip("no server")

@pytest.mark.xfail(reason="known")
def test_xfails():
    assert False

@pytest.mark.xfail(reason="known", strict=False)
def test_xpasses():
    pass
"""


def _pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What pytest says in that folder, with no plugins but these: each of its processes loads all there are."""
    plugins = ("-p", "tests.strictness", "-p", "xdist.plugin", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one", "several"])
def test_skips_and_expected_failures_are_failures(tmp_path: Path, processes: tuple[str, ...]):
    (tmp_path / "test_suite.py").write_text(SUITE)
    result = _pytest(tmp_path, *processes)
    assert result.returncode == 1
    assert "1 passed" in result.stdout
    assert (
        sum(
            result.stdout.count(f"FAILED test_suite.py::{name}") + result.stdout.count(f"ERROR test_suite.py::{name}")
            for name in ("test_skipped", "test_skips_itself", "test_xfails", "test_xpasses")
        )
        == 4
    )
    assert "skipped" not in result.stdout.splitlines()[-1]
    assert "xfailed" not in result.stdout.splitlines()[-1]


def test_a_module_that_skips_itself_is_a_failure(tmp_path: Path):
    (tmp_path / "test_suite.py").write_text(
        "import pytest\npytest.importorskip('no_such_module')\ndef test_x(): pass\n"
    )
    result = _pytest(tmp_path)
    assert result.returncode != 0
    assert "counts as a failure here" in result.stdout


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one", "several"])
@pytest.mark.parametrize(("arguments", "expected"), [((), 1), (("--allow-deselect",), 0)])
def test_deselected_tests_are_failures_unless_permitted(
    tmp_path: Path, arguments: tuple[str, ...], expected: int, processes: tuple[str, ...]
):
    (tmp_path / "test_suite.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    result = _pytest(tmp_path, "-k", "test_a", *arguments, *processes)
    assert result.returncode == expected
    assert ("1 tests were deselected, which counts as a failure" in result.stdout) == bool(expected)


def test_a_suite_without_left_out_tests_passes(tmp_path: Path):
    (tmp_path / "test_suite.py").write_text("def test_a(): pass\n")
    assert _pytest(tmp_path).returncode == 0
