"""An event is an activation above the threshold: no more, no fewer, and with the very value that was encoded."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.saes import KINDS, make_acts, make_sae
from torch import Tensor

from featlas.engine import events as events_module
from featlas.engine.events import Events, find_events
from featlas.engine.sae import SaeParams, tiles


def dense(events: Events, n_rows: int, d_sae: int) -> np.ndarray:
    found = np.zeros((n_rows, d_sae), np.float32)
    found[events.row, events.feature] = events.value
    assert len(np.unique(events.row * d_sae + events.feature)) == len(events.value)  # none twice
    return found


@given(
    kind=st.sampled_from(list(KINDS)),
    n=st.integers(0, 6),
    d_in=st.integers(1, 5),
    d_sae=st.integers(1, 9),
    threshold=st.sampled_from([0.0, 1.0, 2.5]),
    tile=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_events_are_the_dense_activations_above_the_threshold(
    kind: str, n: int, d_in: int, d_sae: int, threshold: float, tile: int, seed: int
) -> None:
    sae = make_sae(kind, d_in, d_sae, seed=seed, whole=True)
    acts = make_acts(n, d_in, seed=seed + 1, whole=True)
    with pytest.MonkeyPatch.context() as patch:  # so that small SAEs, too, take several tiles and a rest
        patch.setattr(events_module, "FEATURE_TILE", tile)
        patch.setattr(events_module, "TOKEN_TILE", tile)
        events = find_events(sae, acts, threshold)
    encoded = sae.encode(acts).numpy()
    assert np.array_equal(dense(events, n, d_sae), np.where(encoded > threshold, encoded, 0))
    assert (events.feature.dtype, events.row.dtype, events.value.dtype) == (np.int64, np.int64, np.float32)
    assert bool((events.value > threshold).all())


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_bitwise_what_was_encoded(kind: str) -> None:
    sae, acts = make_sae(kind, d_in=9, d_sae=1100), make_acts(600, d_in=9)
    found = dense(find_events(sae, acts, 0.0), 600, 1100)
    assert np.array_equal(found, _encoded(sae, acts).numpy())
    np.testing.assert_allclose(found, sae.encode(acts).numpy(), rtol=1e-4, atol=1e-4)


def _encoded(sae: SaeParams, acts: Tensor) -> Tensor:
    centered = sae.center(acts)
    if not sae.chooses_over_features:
        return torch.cat([sae.encode_tile(centered, a, b) for a, b in tiles(sae.d_sae, 512)]).T
    out = torch.zeros(len(acts), sae.d_sae)
    for first, last in tiles(len(acts), 512):
        values, features = sae.encode_topk(centered[first:last])
        out[first:last].scatter_(1, features, values)
    return out


def test_a_dead_sae_has_no_events() -> None:
    sae = make_sae("relu")
    events = find_events(SaeParams(sae.W_enc, sae.b_enc - 1000, sae.W_dec, sae.b_dec, "relu"), make_acts(10), 0.0)
    assert len(events.feature) == len(events.row) == len(events.value) == 0


def test_events_move_to_the_numbers_behind_another_sae() -> None:
    events = find_events(make_sae("relu"), make_acts(5), 0.0)
    shifted = events.shifted(100)
    assert np.array_equal(shifted.feature, events.feature + 100)
    assert np.array_equal(shifted.row, events.row)
    assert np.array_equal(shifted.value, events.value)
