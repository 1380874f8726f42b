"""A pytest plugin: a test that does not run is a failed test, or the suite's promise would shrink in silence.

Skips, expected failures and deselections are failures, but for the tests named here with a reason.
"""

from collections.abc import Generator
from typing import Any

import pytest

# Node ids that may be skipped or deselected, with the reason. Key: node id or a prefix of it that ends a name.
MAY_BE_LEFT_OUT: dict[str, str] = {}

_DESELECTED = pytest.StashKey[list[str]]()
_OUTPUT = "deselected"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--allow-deselect", action="store_true", help="for work at the desk: -k and --lf are no failure")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _may_be_left_out(item.nodeid):
        return report
    if report.skipped or hasattr(report, "wasxfail"):
        kind = "expected to fail (xfail)" if hasattr(report, "wasxfail") else "skipped"
        if hasattr(report, "wasxfail"):
            del report.wasxfail
        report.longrepr = f"{item.nodeid} was {kind}, which counts as a failure here: {report.longrepr}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and not _may_be_left_out(collector.nodeid):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which counts as a failure here: {report.longrepr}"
    return report


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_DESELECTED] = []


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if not _may_be_left_out(item.nodeid):
            item.config.stash[_DESELECTED].append(item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A process of several (pytest-xdist) has ended: each of them collects everything, so one list stands for all."""
    left_out = getattr(node, "workeroutput", {}).get(_OUTPUT, [])
    stash = node.config.stash
    stash[_DESELECTED] = sorted({*stash[_DESELECTED], *left_out})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # one process of several: the one that started it counts
        output[_OUTPUT] = session.config.stash[_DESELECTED]
        return
    is_failure = session.config.stash[_DESELECTED] and not session.config.getoption("--allow-deselect")
    if is_failure and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash[_DESELECTED]
    if left_out and not config.getoption("--allow-deselect"):
        terminalreporter.write_line(
            f"{len(left_out)} tests were deselected, which counts as a failure here (--allow-deselect permits it)",
            red=True,
        )


def _may_be_left_out(nodeid: str) -> bool:
    return any(nodeid == name or nodeid.startswith((f"{name}::", f"{name}[", f"{name}/")) for name in MAY_BE_LEFT_OUT)
