"""Sinks are a group apart; the tail of an ordinary distribution is left in."""

import pytest
import torch

from featlas.domain import Site
from featlas.engine.sinks import find_sink_limit, ordinary_rows

RESIDUAL = [Site.RESID_PRE, Site.RESID_MID, Site.RESID_POST]
ORDINARY = torch.linspace(80, 240, 1001)  # median 160
SINKS = torch.tensor([23_000.0, 20_000.0])


@pytest.mark.parametrize("site", RESIDUAL)
def test_a_group_of_enormous_norms_is_left_out(site: Site) -> None:
    assert find_sink_limit(torch.cat([ORDINARY, SINKS]), site, 10.0) == pytest.approx(1600, rel=0.01)


@pytest.mark.parametrize("site", [site for site in Site if site not in RESIDUAL])
def test_other_sites_have_none(site: Site) -> None:
    assert find_sink_limit(torch.cat([ORDINARY, SINKS]), site, 10.0) is None


def test_off_means_off() -> None:
    assert find_sink_limit(torch.cat([ORDINARY, SINKS]), Site.RESID_POST, None) is None


def test_without_any_there_is_no_limit() -> None:
    assert find_sink_limit(ORDINARY, Site.RESID_POST, 10.0) is None
    assert find_sink_limit(torch.zeros(0), Site.RESID_POST, 10.0) is None


def test_a_tail_is_not_a_group() -> None:
    """Some norms are above ten medians, but there is no gap below them."""
    tail = torch.exp(torch.linspace(0, 4, 5000) ** 2 / 4)
    assert float(tail.max() / tail.median()) > 10
    assert find_sink_limit(tail, Site.RESID_POST, 10.0) is None


@pytest.mark.parametrize(("largest", "is_gap"), [(1500, True), (1599, False)])
def test_the_smallest_sink_is_twice_the_largest_of_the_rest(largest: float, is_gap: bool) -> None:
    norms = torch.cat([ORDINARY, torch.tensor([largest, 3001.0])])
    assert (find_sink_limit(norms, Site.RESID_POST, 10.0) is not None) == is_gap


def test_a_smaller_ratio_takes_more() -> None:
    norms = torch.cat([ORDINARY, torch.tensor([900.0])])
    assert find_sink_limit(norms, Site.RESID_POST, 10.0) is None
    assert find_sink_limit(norms, Site.RESID_POST, 5.0) == pytest.approx(800, rel=0.01)


def test_rows_up_to_the_limit_are_ordinary() -> None:
    acts = torch.tensor([[3.0, 4.0], [6.0, 8.0], [6.0, 8.1]])
    assert ordinary_rows(acts, 10.0).tolist() == [True, True, False]
    assert ordinary_rows(acts, None).tolist() == [True, True, True]
