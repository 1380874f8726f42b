"""kill -9 at a dozen random moments, each time the same result in the end, bit for bit."""

import random
from pathlib import Path

import pytest
from tests.e2e.chaos import KINDS, make_chaos, seed_of_commit
from tools.record import save_record

from featlas.testing.planted_sae import Planted, plant

N_ROUNDS = 12


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


def test_kills_at_many_random_moments(planted: Planted, tmp_path: Path) -> None:
    chaos = make_chaos(planted, tmp_path, 1000)
    seed = seed_of_commit()
    chance = random.Random(seed)
    print(f"seed {seed}")
    for number in range(N_ROUNDS):
        print(chaos.round(KINDS[number % len(KINDS)], chance), flush=True)
    chaos.assert_nothing_left_behind()
    assert chaos.n_killed >= N_ROUNDS - 2
    save_record("kills", {"n_rounds": N_ROUNDS, "n_killed": chaos.n_killed, "n_differing_results": 0, "seed": seed})
