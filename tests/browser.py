"""A real browser for tests: the Chromium of this machine, driven by Playwright, which never downloads its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

VARIABLE = "FEATLAS_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without a sandbox because tests may run as root; the rest keeps the browser off the network and out of the timings.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_INSTALL_TIMEOUT_S = 600


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium until the block ends."""
    executable = find_chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(executable), args=list(ARGUMENTS))
        try:
            yield started
        finally:
            started.close()


def find_chromium() -> Path:
    """The browser named by FEATLAS_TEST_CHROMIUM, else one on the PATH, else one installed now where apt-get may.

    Raises RuntimeError, saying what to do, where there is none: a test in the browser is never left out in silence.
    """
    given = os.environ.get(VARIABLE)
    if given:
        if not os.access(given, os.X_OK):
            raise RuntimeError(f"{VARIABLE} is {given!r}, which is no executable file")
        return Path(given)
    found = _on_the_path()
    if found is None and _may_install():
        _install()
        found = _on_the_path()
    if found is None:
        raise RuntimeError(
            "tests in the browser need Chromium: install it (Debian: apt-get install chromium) or name the executable"
            f" of a Chromium or Chrome in {VARIABLE}"
        )
    return found


def _on_the_path() -> Path | None:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return None if found is None else Path(found)


def _may_install() -> bool:
    """Only as root on Debian itself: Ubuntu's package of that name is a stub for a snap."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return "ID=debian" in lines


def _install() -> None:
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    print(f"No Chromium on this machine; installing it for the tests: {' '.join(command)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update"], command):
        done = subprocess.run(
            step, env=environment, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"`{' '.join(step)}` failed, so tests have no browser; install Chromium or set {VARIABLE}:\n"
                + (done.stdout + done.stderr)[-2000:]
            )
