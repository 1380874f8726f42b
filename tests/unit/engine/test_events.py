"""An event is an activation above the threshold: no more, no fewer, and with the very value that was encoded."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.saes import KINDS, make_acts, make_sae
from tests.oracles.events import dense_rows, largest
from torch import Tensor

from featlas.engine import events as events_module
from featlas.engine.events import Events, find_events
from featlas.engine.sae import SaeParams


def dense(events: Events, n_rows: int, d_sae: int) -> np.ndarray:
    assert (len(events.indptr), events.indptr[0], events.indptr[-1]) == (d_sae + 1, 0, len(events.row))
    assert (events.indptr.dtype, events.row.dtype, events.value.dtype) == (np.int64, np.int32, np.float32)
    return dense_rows(np.diff(events.indptr), events.row, events.value, n_rows).T


def encoded(sae: SaeParams, acts: Tensor) -> np.ndarray:
    """The dense activations; of equal ones that a topk SAE could choose, the lower feature."""
    if not sae.chooses_over_features:
        return sae.encode(acts).numpy()
    scale = sae.dec_norms if sae.rank_by_dec_norm and sae.dec_norms is not None else torch.ones(sae.d_sae)
    products = (sae.center(acts) @ sae.W_enc).numpy()
    return largest(products, torch.stack([scale, sae.b_enc]).numpy(), sae.k or 0, 0)


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
        patch.setattr(events_module, "MOST_ROWS", 2 * tile)
        events = find_events(sae, acts, threshold)
    dense_acts = encoded(sae, acts)
    assert np.array_equal(dense(events, n, d_sae), np.where(dense_acts > threshold, dense_acts, 0))
    assert bool((events.value > threshold).all())
    for first, end in pairwise(events.indptr):
        assert np.all(np.diff(events.row[first:end]) > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_wide_saes_and_many_rows(kind: str) -> None:
    sae, acts = make_sae(kind, d_in=9, d_sae=1100), make_acts(5000, d_in=9)
    found = dense(find_events(sae, acts, 0.0), 5000, 1100)
    expected = encoded(sae, acts)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.count_nonzero((found > 0) != (expected > 0)) <= 1e-5 * found.size


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_bit(kind: str) -> None:
    sae, acts = make_sae(kind, d_in=64, d_sae=1100), make_acts(700, d_in=64)
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            found.append(find_events(sae, acts, 0.0))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert np.array_equal(other.indptr, found[0].indptr)
        assert np.array_equal(other.row, found[0].row)
        assert np.array_equal(other.value, found[0].value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_operations_for_accelerators_find_the_same(kind: str) -> None:
    sae, acts = make_sae(kind, d_in=9, d_sae=1100), make_acts(600, d_in=9)
    centered = sae.center(acts)
    on_device = dense(events_module._on_device(sae, centered, 0.5), 600, 1100)
    np.testing.assert_allclose(on_device, dense(find_events(sae, acts, 0.5), 600, 1100), rtol=1e-5, atol=1e-5)


def test_a_dead_sae_has_no_events() -> None:
    sae = make_sae("relu")
    events = find_events(SaeParams(sae.W_enc, sae.b_enc - 1000, sae.W_dec, sae.b_dec, "relu"), make_acts(10), 0.0)
    assert len(events.row) == len(events.value) == events.indptr[-1] == 0


def test_each_event_has_its_feature() -> None:
    events = Events(np.array([0, 2, 2, 3]), np.array([4, 5, 0], np.int32), np.ones(3, np.float32))
    assert events.feature().tolist() == [0, 0, 2]
