"""SAELens folders as SAELens itself writes them, of any age."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

D_IN, D_SAE = 6, 10
METADATA = {"model_name": "gpt2", "hook_name": "blocks.3.hook_resid_pre", "prepend_bos": False, "context_size": 64}
OLD = {  # as SAELens 3 wrote it, with the names that came before `hook_name`
    "d_in": D_IN,
    "d_sae": D_SAE,
    "hook_point": "blocks.3.hook_resid_pre",
    "hook_point_layer": 3,
    "hook_point_head_index": None,
    "activation_fn_str": "relu",
    "normalize_activations": "none",
    "context_size": 64,
}


def make_tensors(*names: str, seed: int = 0) -> dict[str, Tensor]:
    """W_enc, b_enc, W_dec, b_dec and the tensors named, each of [d_sae]."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    tensors = {"W_enc": draw(D_IN, D_SAE), "b_enc": draw(D_SAE), "W_dec": draw(D_SAE, D_IN), "b_dec": draw(D_IN)}
    return tensors | {name: draw(D_SAE).abs() for name in names}


def v6(architecture: str, **changes: Any) -> dict[str, Any]:
    """A version 6 config; `metadata` in the changes is added to the usual."""
    metadata = {**METADATA, **changes.pop("metadata", {}), "sae_lens_version": "6.18.0"}
    shared = {"d_in": D_IN, "d_sae": D_SAE, "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": True}
    rules = {"normalize_activations": "none", "reshape_activations": "none"}
    return {"architecture": architecture, **shared, **rules, **changes, "metadata": metadata}


def write_folder(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config))
    save_file(tensors, folder / "sae_weights.safetensors")
    return folder
