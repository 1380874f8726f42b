"""Every disturbance of a team at twenty random moments, each time the same result in the end, bit for bit."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.chaos import seed_of_commit
from tests.e2e.team_chaos import BEGINNINGS, DISTURBANCES, N_WORKERS, make_team_chaos
from tests.e2e.teams import Team, TooLate, running_team
from tools.record import save_record

from featlas.testing.planted_sae import Planted, plant

N_EACH = 20
MOST_TOO_LATE = 40


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running_team(tmp_path_factory.mktemp("team"), N_WORKERS) as started:
        yield started


@pytest.mark.timeout(3 * 3600)
def test_every_disturbance_many_times(planted: Planted, team: Team, tmp_path: Path) -> None:
    seed = seed_of_commit()
    print(f"seed {seed}")
    chaos = make_team_chaos(planted, team, tmp_path, 1000, seed)
    n_too_late = n_rounds = 0
    for begin, disturb in zip(itertools.cycle(BEGINNINGS), DISTURBANCES * N_EACH, strict=False):
        while True:
            try:
                print(chaos.round(begin, [disturb]), flush=True)
                break
            except TooLate:
                n_too_late += 1
                assert n_too_late < MOST_TOO_LATE
        n_rounds += 1
    team.assert_nothing_left_behind()
    save_record(
        "team-chaos",
        {"n_rounds": n_rounds, "n_each": N_EACH, "n_too_late": n_too_late, "n_differing_results": 0, "seed": seed},
    )
