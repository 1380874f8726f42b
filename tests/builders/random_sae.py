"""A jumprelu SAE of random directions whose features fire as often as wanted on given activations."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlas.exchange.saelens_files import save_saelens

NEIGHBOURS = 12  # how far around the wanted quantile the widest gap is looked for


def save_random_sae(
    folder: Path, acts: NDArray[np.float32], hook_point: str, *, d_sae: int, rates: tuple[float, float], seed: int = 0
) -> Path:
    """Write an SAE for activations [n, d_in]; rates (from, to) of firing are spread evenly on the log scale.

    Thresholds lie in the middle of gaps between activations, so that rounding cannot decide whether a feature fires.
    """
    n, d_in = acts.shape
    chance = np.random.default_rng(seed)
    W_enc = chance.standard_normal((d_in, d_sae)).astype(np.float32)
    W_enc /= np.linalg.norm(W_enc, axis=0)
    mean = acts.mean(axis=0, dtype=np.float64).astype(np.float32)
    ordered = np.sort((acts.astype(np.float64) - mean) @ W_enc.astype(np.float64), axis=0)
    wanted = n - 1 - (n * np.geomspace(*rates, d_sae)).astype(int)
    threshold = np.empty(d_sae, dtype=np.float32)
    for feature in range(d_sae):
        around = ordered[max(wanted[feature] - NEIGHBOURS, 0) : wanted[feature] + NEIGHBOURS, feature]
        widest = int(np.argmax(np.diff(around)))
        threshold[feature] = max((around[widest] + around[widest + 1]) / 2, 0.0)
    tensors = {"W_enc": W_enc, "b_enc": np.zeros(d_sae, np.float32), "W_dec": W_enc.T.copy(), "b_dec": mean}
    config = {"architecture": "jumprelu", "d_in": d_in, "d_sae": d_sae}
    metadata = {"hook_name": hook_point, "prepend_bos": False}
    save_saelens(folder, {**tensors, "threshold": threshold}, {**config, "metadata": metadata})
    return folder
