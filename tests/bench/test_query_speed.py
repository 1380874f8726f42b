"""How long a query over a million features takes, in memory: the published figure's guard, at five times its bar."""

import time

import numpy as np
import pytest

from featlas.query import parse_query
from featlas.store.columns import Columns, Indices, StateColumns, find_matches, find_page

N = 1_000_000
BAR_S = 0.1


class NothingFound:
    """These queries look nothing up."""

    def find_text(self, text: str) -> Indices:
        raise AssertionError(text)

    def find_token(self, token: bytes) -> Indices:
        raise AssertionError(token)

    def find_list(self, name: str) -> Indices:
        raise AssertionError(name)


@pytest.fixture(scope="module")
def columns() -> Columns:
    chance = np.random.default_rng(0)
    n_fires = (10 ** chance.uniform(0, 6, N)).astype(np.int64) * (chance.random(N) > 0.1)
    state = StateColumns.empty(N)
    state.score[: N // 2] = chance.random(N // 2).round(2)
    state.category[: N // 2] = chance.integers(0, 3, N // 2)
    facts = {
        "n_fires": n_fires,
        "activation_frequency": n_fires / 10_000_000,
        "mean_activation": np.where(n_fires > 0, chance.gamma(2, 3, N), np.nan).astype(np.float32),
        "max_activation": np.where(n_fires > 0, chance.gamma(9, 3, N), np.nan).astype(np.float32),
    }
    flags = (n_fires == 0).astype(np.uint32) | (facts["activation_frequency"] > 0.05).astype(np.uint32) * 2
    named = StateColumns(**{**vars(state), "categories": ("Language", "Language > Syntax", "Code")})
    return Columns(facts, flags, named)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sort:-score",
        "-is:dead density:1e-5..1e-2 sort:-max_activation",
        "density:1e-6..1e-1 mean_activation:>1 score:>=0.3 sort:-score sort:n_fires",
        "category:Language (max_activation:>30 OR -has:score) -is:dense sort:mean_activation",
    ],
)
def test_filter_sort_count_and_first_fifty(columns: Columns, text: str) -> None:
    query, times = parse_query(text), []
    for _ in range(5):
        start = time.perf_counter()
        matches = find_matches(query, columns, NothingFound())
        page = find_page(matches, query, columns, 50)
        times.append(time.perf_counter() - start)
    best = min(times)
    print(f"{best * 1000:.0f} ms for {page.n_matches} of {N} features: {text!r}")
    assert 50 == len(page.feature_index)
    assert best < 5 * BAR_S
