"""kill -9 loses at most the unfinished block: the same command goes on and ends in the same result, bit for bit."""

import random
from pathlib import Path

import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.chaos import KINDS, Chaos, seed_of_commit
from tests.e2e.command import Featlas

from featlas.testing.planted_sae import Planted


def make_chaos(planted: Planted, folder: Path, n_documents: int) -> Chaos:
    """An extraction of many small blocks, with its undisturbed run."""
    text = save_documents(folder / "made.jsonl", made_documents(n_documents, seed=5))
    where = ["--model", planted.model, "--sae", planted.sae, "--text", text]
    chaos = Chaos(Featlas(folder / "home"), [*where, "--ctx-len", 32, "--block-slots", 512, "--null-features", 64])
    chaos.run_undisturbed()
    return chaos


def test_kills_at_random_moments(planted: Planted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chaos = make_chaos(planted, tmp_path, 400)
    seed = seed_of_commit()
    chance = random.Random(seed)
    said = [chaos.round(kind, chance) for kind in KINDS]
    with capsys.disabled():
        print("", f"seed {seed}", *said, sep="\n")
    chaos.assert_nothing_left_behind()
