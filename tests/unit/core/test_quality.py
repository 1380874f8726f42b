"""L0 and FVU against the rows themselves, and who counts as dead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from featlas.core.quality import QualityTotals, quality_figures

D = 3


def sums_of(x: NDArray[np.float64], guess: NDArray[np.float64]) -> tuple[list[float], NDArray[np.float64]]:
    """What the pass adds up over rows: n, Σ‖x−x̂‖², Σ‖x‖²; and Σx."""
    return [float(len(x)), float(((x - guess) ** 2).sum()), float((x**2).sum())], x.sum(axis=0)


def totals_of(counted: tuple[NDArray, NDArray], sinks: tuple[NDArray, NDArray]) -> QualityTotals:
    rows = [sums_of(*counted), sums_of(*sinks)]
    return QualityTotals.empty().plus(np.array([row[0] for row in rows]), np.stack([row[1] for row in rows]))


def slow_fvu(x: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    return float(((x - guess) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum())


def draw(seed: int, n: int, scale: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    chance = np.random.default_rng(seed)
    x = chance.normal(2.0, scale, (n, D))
    return x, x + chance.normal(0.0, 0.3, (n, D))


NOTHING = (np.zeros((0, D)), np.zeros((0, D)))


@given(st.integers(0, 1000), st.integers(2, 30), st.integers(1, 5))
def test_fvu_is_error_over_variance_with_and_without_sinks(seed: int, n: int, n_sinks: int) -> None:
    counted, sinks = draw(seed, n), draw(seed + 1, n_sinks, scale=50.0)
    totals = totals_of(counted, sinks)
    together = [np.concatenate(pair) for pair in zip(counted, sinks, strict=True)]
    assert pytest.approx(slow_fvu(*counted), rel=1e-9) == totals.fvu(with_sinks=False)
    assert pytest.approx(slow_fvu(*together), rel=1e-9) == totals.fvu(with_sinks=True)


def test_blocks_add_up() -> None:
    x, guess = draw(0, 20)
    whole = totals_of((x, guess), NOTHING)
    totals = QualityTotals.empty()
    for first in range(0, 20, 7):
        part = totals_of((x[first : first + 7], guess[first : first + 7]), NOTHING)
        totals = totals.plus(part.totals, part.sums)
    np.testing.assert_allclose(whole.totals, totals.totals, rtol=1e-12)
    np.testing.assert_allclose(whole.sums, totals.sums, rtol=1e-12)


@pytest.mark.parametrize("rows", [NOTHING, (np.ones((4, D)), np.zeros((4, D)))], ids=["nothing read", "all the same"])
def test_what_does_not_vary_has_no_fvu(rows: tuple[NDArray, NDArray]) -> None:
    assert totals_of(rows, NOTHING).fvu(with_sinks=False) is None


def test_nothing_measured_has_no_fvu() -> None:
    assert (None, None) == (QualityTotals.empty().fvu(with_sinks=False), QualityTotals.empty().fvu(with_sinks=True))


def test_the_header_counts_each_feature_once() -> None:
    n_events = np.array([0, 0, 10, 11, 100, 1])
    n_excluded = np.array([0, 1, 0, 2, 0, 0])
    figures = quality_figures(totals_of(draw(0, 9), draw(1, 2)), n_events, n_excluded, n_tokens=100)
    counted = {name: figures[name] for name in ("l0", "n_measured", "n_dead", "n_sink_only", "n_dense", "n_alive")}
    # Dense is more than a tenth: 10 of 100 is not.
    assert {"l0": 1.22, "n_measured": 9, "n_dead": 1, "n_sink_only": 1, "n_dense": 2, "n_alive": 4} == counted


def test_the_header_has_both_fvus() -> None:
    totals = totals_of(draw(0, 9), draw(1, 2, scale=50.0))
    figures = quality_figures(totals, np.array([1]), np.array([0]), n_tokens=1)
    assert totals.fvu(with_sinks=False) == figures["fvu"]
    assert totals.fvu(with_sinks=True) == figures["fvu_with_sinks"]
    assert figures["fvu"] != figures["fvu_with_sinks"]


def test_a_run_without_tokens_has_no_l0() -> None:
    figures = quality_figures(QualityTotals.empty(), np.zeros(2, np.int64), np.zeros(2, np.int64), n_tokens=0)
    assert (None, None, 0, 2) == tuple(figures[name] for name in ("l0", "fvu", "n_measured", "n_dead"))
