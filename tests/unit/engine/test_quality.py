"""Reconstruction sums add up over any cut of the rows and give the FVU of the whole."""

import numpy as np
import pytest
import torch
from tests.builders.saes import KINDS, make_acts, make_sae

from featlas.core.quality import QualityTotals
from featlas.engine.quality import reconstruction_sums


@pytest.mark.parametrize("kind", KINDS)
def test_the_sums_give_the_fraction_of_variance_unexplained(kind: str) -> None:
    sae, acts = make_sae(kind), make_acts(100)
    quality = QualityTotals.empty()
    for part in acts.split(17):
        sums = reconstruction_sums(sae, part)
        row = np.array([[sums["n"], sums["error"], sums["square"]], [0, 0, 0]])
        total = np.asarray(sums["sum"])
        quality = quality.plus(row, np.stack([total, np.zeros_like(total)]))
    x = acts.double()
    expected = (x - sae.reconstruct(acts).double()).square().sum() / (x - x.mean(0)).square().sum()
    assert quality.fvu(with_sinks=False) == pytest.approx(float(expected), rel=1e-6)


def test_another_target_is_what_it_is_held_against() -> None:
    sae, acts, target = make_sae("relu"), make_acts(30), make_acts(30, seed=8)
    sums = reconstruction_sums(sae, acts, target)
    assert sums["error"] == pytest.approx(float((target - sae.reconstruct(acts)).double().square().sum()), rel=1e-6)
    assert sums["square"] == pytest.approx(float(target.double().square().sum()), rel=1e-6)
    torch.testing.assert_close(sums["sum"], target.double().sum(0))
