"""Measures how well an SAE reconstructs: the sums from which FVU is computed, with and without attention sinks."""

import torch
from torch import Tensor

from featlas.engine.sae import SaeParams

ROWS_AT_ONCE = 512  # dense activations of a whole batch could fill gigabytes


def reconstruction_sums(sae: SaeParams, acts: Tensor, target: Tensor | None = None) -> dict[str, float | Tensor]:
    """Float64 sums over rows that add up across batches and blocks.

    Args:
        sae: the SAE.
        acts: activations it reads, shape [n, d_in].
        target: what it should reconstruct (transcoders); the activations themselves by default.

    Returns:
        n (rows), error (Σ‖x−x̂‖²), square (Σ‖x‖²) and sum (Σx, shape [d_out]).
    """
    x = acts if target is None else target
    exact = x.to(torch.float64)
    parts = zip(x.split(ROWS_AT_ONCE), acts.split(ROWS_AT_ONCE), strict=True)
    error = sum(float((wanted - sae.reconstruct(read)).to(torch.float64).square().sum()) for wanted, read in parts)
    return {"n": float(len(x)), "error": error, "square": float(exact.square().sum()), "sum": exact.sum(0).cpu()}
