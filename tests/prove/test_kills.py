"""kill -9 at many random moments, each time the same result in the end, bit for bit."""

import random
from pathlib import Path

import pytest
from tests.e2e.chaos import KINDS, make_chaos, seed_of_commit
from tools.record import save_record

from featlas.testing.planted_sae import Planted, plant

N_KILLED = 10
MOST_ROUNDS = 30  # a round whose moment comes after the end kills nothing


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


def test_kills_at_many_random_moments(planted: Planted, tmp_path: Path) -> None:
    chaos = make_chaos(planted, tmp_path, 1000)
    seed = seed_of_commit()
    chance = random.Random(seed)
    print(f"seed {seed}")
    n_rounds = 0
    while chaos.n_killed < N_KILLED:
        assert n_rounds < MOST_ROUNDS
        print(chaos.round(KINDS[n_rounds % len(KINDS)], chance), flush=True)
        n_rounds += 1
    chaos.assert_nothing_left_behind()
    save_record("kills", {"n_rounds": n_rounds, "n_killed": chaos.n_killed, "n_differing_results": 0, "seed": seed})
