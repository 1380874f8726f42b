"""A run with thousands of features that fire now and then, for what is done once per feature."""

from pathlib import Path

import numpy as np

from featlas.exchange.saelens_files import save_saelens
from featlas.sources.sae_files import load_sae
from featlas.testing.planted_sae import Planted

DEEP = "blocks.1.hook_resid_post"
"""Where a token's activations depend on what stands before it; else many features would fire on the same tokens."""


def save_many_features(folder: Path, planted: Planted, d_sae: int, k: int = 40) -> Path:
    """A TopK SAE of random directions on the planted model, in SAELens format."""
    d_in = load_sae(str(planted.sae)).params.d_in
    rng = np.random.default_rng(0)
    W_enc = rng.standard_normal((d_in, d_sae)).astype(np.float32)
    tensors = {
        "W_enc": W_enc / np.linalg.norm(W_enc, axis=0),
        "b_enc": np.zeros(d_sae, dtype=np.float32),
        "W_dec": np.ascontiguousarray(W_enc.T),
        "b_dec": np.zeros(d_in, dtype=np.float32),
    }
    metadata = {"hook_name": DEEP, "prepend_bos": True}
    config = {"architecture": "topk", "k": k, "d_in": d_in, "d_sae": d_sae, "metadata": metadata}
    save_saelens(folder, tensors, config)
    return folder
