"""Every disturbance of a team at twenty random moments, each time the same result in the end, bit for bit."""

import itertools
import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.e2e.chaos import seed_of_commit
from tests.e2e.page_speed import load_of_machine
from tests.e2e.team_chaos import (
    BEGINNINGS,
    DISTURBANCES,
    N_WORKERS,
    Beginning,
    Disturbance,
    TeamChaos,
    make_team_chaos,
)
from tests.e2e.teams import LEASE_S, Team, TooLate, running_team
from tools.record import save_record

from featlas.testing.planted_sae import Planted, plant

N_EACH = 20
N_DOCUMENTS = 2000
"""Long enough that on a busy machine, too, helpers are there before all is done."""
MOST_TOO_LATE = 10
"""Of one round: it did not meet what it was to disturb, and is made again."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running_team(tmp_path_factory.mktemp("team"), N_WORKERS) as started:
        yield started


def make_round(chaos: TeamChaos, begin: Beginning, disturbances: Sequence[Disturbance]) -> int:
    """Make one round, again where it came too late; how often it did."""
    for n_too_late in range(MOST_TOO_LATE):
        try:
            print(chaos.round(begin, disturbances), flush=True)
        except TooLate:
            continue
        return n_too_late
    raise AssertionError(f"too late {MOST_TOO_LATE} times")


@pytest.mark.timeout(3 * 3600)
def test_every_disturbance_many_times(planted: Planted, team: Team, tmp_path: Path) -> None:
    """Two in each round, in random pairs: what one leaves behind meets the other."""
    seed = seed_of_commit()
    print(f"seed {seed}")
    before = load_of_machine()
    chaos = make_team_chaos(planted, team, tmp_path, N_DOCUMENTS, seed)
    to_do = list(DISTURBANCES * N_EACH)
    random.Random(seed).shuffle(to_do)
    pairs = list(zip(to_do[::2], to_do[1::2], strict=True))
    n_too_late = sum(
        make_round(chaos, begin, pair) for begin, pair in zip(itertools.cycle(BEGINNINGS), pairs, strict=False)
    )
    team.assert_nothing_left_behind()
    figures = {"n_rounds": len(pairs), "n_each": N_EACH, "n_too_late": n_too_late, "n_differing_results": 0}
    slowest_s = max(chaos.recoveries_s)
    recovery = {
        "recovery_median_s": round(statistics.median(chaos.recoveries_s), 1),
        "recovery_slowest_s": round(slowest_s, 1),
        "n_within_two_leases": sum(seconds <= 2 * LEASE_S for seconds in chaos.recoveries_s),
    }
    load = {"load_before": before, "load_after": load_of_machine()}
    save_record("team-chaos", {**figures, **recovery, "seed": seed}, settings={"lease_s": LEASE_S, **load})
    assert slowest_s <= 2 * LEASE_S
