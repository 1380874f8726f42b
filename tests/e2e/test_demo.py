"""`featlas demo`: the committed SAE on the committed corpus with the packaged model, in the terminal."""

import re
import signal
import urllib.request
from pathlib import Path

from tests.e2e.command import Featlas

RULES = ("the best detector of one token", "the most frequent without a token", "the sharpest")


def test_the_demo_runs_once_and_is_shown_again(tmp_path: Path, smollm2_cache: Path) -> None:
    """A small part of it: 3,000 positions."""
    featlas = Featlas(tmp_path / "home")
    featlas.home.mkdir()
    (featlas.home / "cache").symlink_to(smollm2_cache)
    first = featlas.run("demo", "--no-serve", "--tokens", 3000)
    header = first.stdout.split("\n\n")[0]
    for word in ("SmolLM2-135M", "demo-sae", "demo-corpus.jsonl.gz", "L0", "FVU", "never fired", "sink"):
        assert word in header, header
    read = re.search(r"([\d,]+) positions", header)
    assert read is not None
    assert 3000 <= int(read[1].replace(",", "")) < 3200
    shown = re.findall(r"^feature (\d+)", first.stdout, re.MULTILINE)
    assert 3 == len(set(shown))
    assert [True] * 3 == [rule in first.stdout for rule in RULES]
    (run,) = featlas.json("runs")
    assert ("finished", 0) == (run["state"], run["n_excluded"]["bos"])
    assert run["n_excluded"]["sink"] >= run["n_contexts"]  # the first position of each, in this model
    again = featlas.run("demo", "--no-serve", "--tokens", 3000)
    assert first.stdout == again.stdout
    assert "reused the finished run" in again.stderr
    assert 1 == len(featlas.json("runs"))
    assert ["extraction", "labeling"] == sorted(job["kind"] for job in featlas.json("jobs", "ls"))
    _look_at_what_is_served(featlas, shown)


def _look_at_what_is_served(featlas: Featlas, shown: list[str]) -> None:
    """The addresses that the demo prints at its end: the list, and the features that it has shown."""
    with featlas.start("demo", "--tokens", 3000) as process:
        assert process.stderr is not None
        lines: list[str] = []
        while "Ctrl-C" not in "".join(lines[-1:]):
            line = process.stderr.readline()
            assert line, lines
            lines.append(line)
        addresses = [line.strip() for line in lines if line.strip().startswith("http://127.0.0.1:")]
        assert "/features?run=1&q=-is%3Adense%20-is%3Adead" in addresses[0]
        assert shown == re.findall(r"/f/(\d+)\?run=1", " ".join(addresses[1:]))
        for address in addresses:
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"<base href=" in answer.read()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert 0 == process.returncode
