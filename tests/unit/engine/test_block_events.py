"""The events of a block in the order of the feature matrix, however its batches came."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.saes import make_acts, make_sae

from featlas.engine.block_events import BlockEvents, SortedEvents
from featlas.engine.events import find_events

D_SAE, N_SLOTS = 12, 40


def dense(found: SortedEvents, n_features: int) -> np.ndarray:
    out = np.zeros((n_features, N_SLOTS), np.float32)
    feature = np.repeat(np.arange(n_features), np.diff(found.indptr))
    out[feature, found.slot] = found.value
    for first, end in zip(found.indptr, found.indptr[1:], strict=False):
        assert np.all(np.diff(found.slot[first:end].astype(int)) > 0)
    return out


@given(seed=st.integers(0, 10**6), n_batches=st.integers(0, 4))
def test_any_batches_give_the_same_matrix(seed: int, n_batches: int) -> None:
    chance = np.random.default_rng(seed)
    sae, null = make_sae("relu", 5, D_SAE, seed=seed), make_sae("relu", 5, 3, seed=seed + 1)
    slots = chance.permutation(N_SLOTS)
    acts = make_acts(N_SLOTS, 5, seed=seed)  # of slot i in row i
    is_wanted = chance.random(N_SLOTS) < 0.8
    block = BlockEvents(D_SAE + 3, N_SLOTS)
    used = slots[: n_batches * 10]
    for part in used.reshape(-1, 10) if n_batches else ():
        here = acts[torch.from_numpy(part)]
        block.add(find_events(sae, here, 0.0), part)
        block.add(find_events(null, here, 0.0), part, D_SAE)
    found = block.take_sorted(is_wanted)
    encoded = torch.cat([sae.encode(acts), null.encode(acts)], dim=1).numpy().T
    encoded[:, np.setdiff1d(np.arange(N_SLOTS), used)] = 0
    np.testing.assert_allclose(dense(found, D_SAE + 3), encoded * is_wanted, rtol=1e-5)
    others = encoded * ~is_wanted
    assert np.array_equal(found.excluded_feature, np.flatnonzero((others > 0).any(axis=1)))
    assert np.array_equal(found.excluded_n, np.count_nonzero(others, axis=1)[found.excluded_feature])
    np.testing.assert_allclose(found.excluded_max, others.max(axis=1)[found.excluded_feature], rtol=1e-5)
    assert (found.indptr.dtype, found.slot.dtype, found.value.dtype) == (np.int64, np.uint16, np.float32)


def test_events_are_held_no_longer_than_they_are_needed() -> None:
    block = BlockEvents(D_SAE, N_SLOTS)
    block.add(find_events(make_sae("relu", 5, D_SAE), make_acts(10, 5), 0.0), np.arange(10))
    every = np.ones(N_SLOTS, dtype=bool)
    assert len(block.take_sorted(every).slot) > 0
    assert len(block.take_sorted(every).slot) == 0
