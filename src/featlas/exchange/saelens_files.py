"""Writes an SAE as a SAELens folder, so that what Featlas trains opens in every tool of the field."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from featlas.errors import ExternalError

SAELENS_VERSION = "6.18.0"  # the version whose layout is written


def save_saelens(folder: Path, tensors: dict[str, NDArray[np.floating]], config: dict[str, Any]) -> None:
    """Write cfg.json and sae_weights.safetensors.

    Args:
        folder: is made where it does not exist.
        tensors: W_enc [d_in, d_sae], b_enc, W_dec [d_sae, d_in], b_dec and, for jumprelu, threshold [d_sae].
        config: a SAELens 6 config: architecture, d_in, d_sae, metadata, and k for topk.
    """
    metadata = {"sae_lens_version": SAELENS_VERSION, **config.get("metadata", {})}
    defaults = {
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()}, folder / "sae_weights.safetensors"
        )
        text = json.dumps({**defaults, **config, "metadata": metadata}, indent=2, ensure_ascii=False)
        (folder / "cfg.json").write_text(text + "\n", encoding="utf-8")
    except OSError as cause:
        raise ExternalError(
            f"the SAE could not be written to {folder}: {cause}; free some space or choose another folder"
        ) from cause
