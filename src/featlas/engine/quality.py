"""Measures how well an SAE reconstructs: the sums from which FVU is computed, with and without attention sinks."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from featlas.engine.events import Events, find_events
from featlas.engine.sae import SaeParams


def reconstruction_sums(
    sae: SaeParams, acts: Tensor, target: Tensor | None = None, events: Events | None = None
) -> dict[str, float | Tensor]:
    """Float64 sums over rows that add up across batches and blocks.

    Args:
        sae: the SAE.
        acts: activations it reads, shape [n, d_in].
        target: what it should reconstruct (transcoders); the activations themselves by default.
        events: all firings of the SAE on `acts`, where they are known.

    Returns:
        n (rows), error (Σ‖x−x̂‖²), square (Σ‖x‖²) and sum (Σx, shape [d_out]).
    """
    x = acts if target is None else target
    exact = x.to(torch.float64)
    events = find_events(sae, acts, 0.0) if events is None else events
    made = sae.denormalise(decode_events(sae, events, len(acts)), acts)
    error = float((x - made).to(torch.float64).square().sum())
    return {"n": float(len(x)), "error": error, "square": float(exact.square().sum()), "sum": exact.sum(0).cpu()}


def decode_events(sae: SaeParams, events: Events, n_rows: int) -> Tensor:
    """`sae.decode` of what fired, at the cost of what fired: decoder directions times activations, and b_dec.

    Shape [n_rows, d_out].
    """
    starts, feature, value = events.by_row(n_rows)
    device = sae.W_dec.device
    weights = torch.from_numpy(value).to(device)
    features = torch.from_numpy(feature).to(device)
    if sae.rank_by_dec_norm:
        assert sae.dec_norms is not None
        weights = weights / sae.dec_norms.clamp(min=torch.finfo(torch.float32).tiny)[features]
    offsets = torch.from_numpy(starts[:-1].astype(np.int32)).to(device)
    return embedding_bag(features, sae.W_dec, offsets, mode="sum", per_sample_weights=weights) + sae.b_dec
