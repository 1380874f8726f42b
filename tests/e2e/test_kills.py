"""kill -9 loses at most the unfinished block: the same command goes on and ends in the same result, bit for bit."""

import random
from pathlib import Path

import pytest
from tests.e2e.chaos import KINDS, make_chaos, seed_of_commit

from featlas.testing.planted_sae import Planted


def test_kills_at_random_moments(planted: Planted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chaos = make_chaos(planted, tmp_path, 400)
    seed = seed_of_commit()
    chance = random.Random(seed)
    said = [chaos.round(kind, chance) for kind in KINDS]
    with capsys.disabled():
        print("", f"seed {seed}", *said, sep="\n")
    chaos.assert_nothing_left_behind()
