"""Null features fire as often as the SAE's own, on text that they have not seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.builders.saes import KINDS, make_sae

from featlas.engine.null_features import MIN_SAMPLE_FIRES, count_fires, make_null_features
from featlas.engine.sae import SaeParams

D_IN, D_SAE, N = 16, 200, 4000


def draw(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    """Correlated activations with a mean of `shift` in every coordinate."""
    mix = torch.randn(D_IN, D_IN, generator=torch.Generator().manual_seed(99))
    return torch.randn(n, D_IN, generator=torch.Generator().manual_seed(seed)) @ mix + shift


def sparse_sae(shift: float = 0.0) -> SaeParams:
    """A ReLU SAE whose features fire on 0.1 % to 30 % of such activations."""
    sae = make_sae("relu", D_IN, D_SAE, subtract_b_dec=False)
    pre = draw(20_000, seed=7, shift=shift) @ sae.W_enc
    wanted = torch.logspace(-3, np.log10(0.3), D_SAE)
    cuts = torch.stack([pre[:, f].quantile(1 - q) for f, q in enumerate(wanted)])
    return replace(sae, b_enc=-cuts)


def must(features: SaeParams | None) -> SaeParams:
    assert features is not None
    return features


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_their_frequencies_on_fresh_activations_are_the_samples_own(shift: float) -> None:
    """Also where the input has a mean of its own, which not every SAE subtracts."""
    sae, sample = sparse_sae(shift), draw(N, seed=1, shift=shift)
    null = must(make_null_features(sae, sample, 300, seed=3))
    own = count_fires(sae, sample).clamp(min=MIN_SAMPLE_FIRES)[count_fires(sae, sample) > 0] / N
    fresh = count_fires(null, draw(40_000, seed=2, shift=shift)) / 40_000
    # A threshold is a quantile of the sample: n fires give it a relative error of 1/√n, at most 1/√10 each.
    quantiles = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    torch.testing.assert_close(fresh.quantile(quantiles), own.quantile(quantiles), rtol=0.25, atol=0)
    assert float(fresh.mean()) == pytest.approx(float(own.mean()), rel=0.1)


def test_on_the_sample_itself_each_fires_exactly_as_often_as_one_of_the_saes() -> None:
    sae, sample = sparse_sae(), draw(N, seed=1)
    known = set(count_fires(sae, sample).clamp(MIN_SAMPLE_FIRES, N // 2).tolist())
    null = must(make_null_features(sae, sample, 100, seed=3))
    assert set(count_fires(null, sample).tolist()) <= known


def test_no_frequency_is_below_what_the_sample_can_tell() -> None:
    sae, sample = sparse_sae(), draw(N, seed=1)
    rare = replace(sae, b_enc=sae.b_enc - 60)
    counts = count_fires(rare, sample)
    assert 0 < int(counts[counts > 0].min()) < MIN_SAMPLE_FIRES
    null = must(make_null_features(rare, sample, 50, seed=3))
    assert int(count_fires(null, sample).min()) == MIN_SAMPLE_FIRES


def test_a_feature_that_always_fires_is_matched_by_one_half() -> None:
    always = replace(make_sae("relu", D_IN, 1), b_enc=torch.full((1,), 1e6))
    null = must(make_null_features(always, draw(N, seed=1), 20, seed=0))
    counts = count_fires(null, draw(N, seed=1)) / N
    assert float((counts - 0.5).abs().max()) < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sae_has_them(kind: str) -> None:
    sae = make_sae(kind, D_IN, D_SAE, normalisation="layer_norm")
    null = must(make_null_features(sae, draw(500, seed=1), 30, seed=0))
    assert null.W_enc.shape == (D_IN, 30)
    assert (null.activation, null.normalisation, null.d_sae) == ("jumprelu", "layer_norm", 30)
    torch.testing.assert_close(null.W_enc.norm(dim=0), torch.ones(30))


def test_directions_are_spread_over_the_sphere() -> None:
    null = must(make_null_features(sparse_sae(), draw(N, seed=1), 4000, seed=0))
    second_moment = null.W_enc @ null.W_enc.T / 4000
    torch.testing.assert_close(second_moment, torch.eye(D_IN) / D_IN, rtol=0, atol=0.01)


def test_the_seed_decides() -> None:
    sae, sample = sparse_sae(), draw(N, seed=1)
    first, again, other = (must(make_null_features(sae, sample, 10, seed)) for seed in (1, 1, 2))
    assert first.fingerprint() == again.fingerprint()
    assert first.fingerprint() != other.fingerprint()


def test_there_are_none_where_there_is_nothing_to_match() -> None:
    sae, sample = sparse_sae(), draw(N, seed=1)
    assert make_null_features(sae, sample, 0, seed=0) is None
    assert make_null_features(sae, sample[: 2 * MIN_SAMPLE_FIRES - 1], 10, seed=0) is None
    assert make_null_features(sae, sample[:0], 10, seed=0) is None
    dead = replace(sae, b_enc=torch.full((D_SAE,), -1e6))
    assert make_null_features(dead, sample, 10, seed=0) is None


def test_counting_in_parts_counts_everything() -> None:
    sae, sample = sparse_sae(), draw(1000, seed=1)
    assert torch.equal(count_fires(sae, sample, rows=7), (sae.encode(sample) != 0).sum(0))


def test_they_match_what_fires_above_the_runs_threshold() -> None:
    sae, sample = sparse_sae(), draw(N, seed=1)
    everything, strong = count_fires(sae, sample), count_fires(sae, sample, 9.0)
    assert torch.equal(strong, (sae.encode(sample) > 9).sum(0))
    assert 0 < int(strong.sum()) < int(everything.sum()) / 2
    null = must(make_null_features(sae, sample, 100, seed=3, fires_above=9.0))
    assert set(count_fires(null, sample).tolist()) <= set(strong.clamp(MIN_SAMPLE_FIRES, N // 2).tolist())
