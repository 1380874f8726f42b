"""The SAELens format (v3 to v6): cfg.json and sae_weights.safetensors in one folder.

Rules from SAELens 6's own loader: the renaming and defaults of older configs, what each architecture's tensors are
called, and which settings change the encoder.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from featlas.engine.sae import Gate, Normalisation, SaeParams
from featlas.errors import InputError
from featlas.sources.sae_files.sae_file import SaeFile
from featlas.sources.sae_files.tensors import load_json, load_tensors, take

RENAMED = {"hook_point": "hook_name", "hook_point_head_index": "hook_head_index", "activation_fn_str": "activation_fn"}
ONLY_OLD = {*RENAMED, "activation_fn", "hook_name", "prepend_bos"}  # top-level names that version 6 does not have
ARCHITECTURES = ("standard", "jumprelu", "topk", "gated", "batchtopk", "matryoshka_batchtopk")


@dataclass(frozen=True)
class SaeLensFormat:
    """Reader of SAELens folders, inference and training checkpoints."""

    name: str = "saelens"
    expects: str = "cfg.json and sae_weights.safetensors"

    def fits(self, folder: Path) -> bool:
        """Either of the two files is enough to call it SAELens, so that the missing one can be named."""
        return (folder / "sae_weights.safetensors").exists() or (
            (folder / "cfg.json").exists() and not (folder / "sae.safetensors").exists()
        )

    def load(self, folder: Path) -> SaeFile:
        """Read the SAE; every setting that would change its activations is applied or refused."""
        config_path = folder / "cfg.json"
        config = modern_config(load_json(config_path))
        path = folder / "sae_weights.safetensors"
        tensors = load_tensors(path)
        architecture = str(config["architecture"])
        if architecture not in ARCHITECTURES:
            raise InputError(
                f"{config_path}: architecture {architecture!r} is not read; expected {', '.join(ARCHITECTURES)}"
            )
        _refuse_unread(config, config_path)
        try:
            params = _params(architecture, config, tensors, path)
        except InputError as cause:
            raise InputError(f"{folder}: {cause}") from cause
        for key, found in (("d_in", params.d_in), ("d_sae", params.d_sae)):
            if config.get(key, found) != found:
                raise InputError(
                    f"{config_path}: {key} is {config[key]!r} but the weights have {found}; "
                    "the files do not belong together"
                )
        metadata = config["metadata"]
        return SaeFile(
            params=_rescaled(params, config, folder),
            name=str(metadata.get("neuronpedia_id") or folder.resolve().name),
            format=self.name,
            architecture=architecture,
            hook_point=str(metadata.get("hook_name") or ""),
            prepend_bos=metadata.get("prepend_bos") is not False,
            config=config,
            claims=_claims(metadata),
            mean_centred=_is_mean_centred(metadata),
        )


def modern_config(config: dict[str, Any]) -> dict[str, Any]:
    """A config of any version in the shape of version 6: encoder settings on top, the rest under `metadata`."""
    found = config.get("metadata")
    metadata: dict[str, Any] = found if isinstance(found, dict) else {}
    if metadata and "architecture" in config and not ONLY_OLD & config.keys():
        return {**config, "normalize_activations": _normalisation_name(config.get("normalize_activations"))}
    old = {RENAMED.get(key, key): value for key, value in config.items()}
    architecture = old.get("architecture", "standard")
    kwargs = old.get("activation_fn_kwargs") or {}
    if old.get("activation_fn") == "topk" and "k" in kwargs:
        architecture, old["k"] = "topk", kwargs["k"]
    if old.get("activation_fn") is None:
        old["activation_fn"] = "relu"
    encoder_keys = ("d_in", "d_sae", "dtype", "k", "rescale_acts_by_decoder_norm", "reshape_activations")
    new = {key: old[key] for key in encoder_keys if key in old}
    return {
        **new,
        "architecture": architecture,
        "apply_b_dec_to_input": old.get("apply_b_dec_to_input", True),
        "normalize_activations": _normalisation_name(old.get("normalize_activations")),
        "metadata": {
            "prepend_bos": True,
            **{key: value for key, value in old.items() if key not in (*encoder_keys, "metadata")},
            **metadata,
        },
    }


def _normalisation_name(value: Any) -> str:
    if value is True:
        return "expected_average_only_in"
    return str(value) if value else "none"


def _refuse_unread(config: dict[str, Any], config_path: Path) -> None:
    metadata = config["metadata"]
    if metadata.get("hook_head_index") is not None:
        raise InputError(f"{config_path}: hook_head_index says that the SAE reads one head; such SAEs are not read yet")
    known = ("none", "layer_norm", "constant_norm_rescale", "expected_average_only_in")
    if config["normalize_activations"] not in known:
        found = config["normalize_activations"]
        raise InputError(f"{config_path}: normalize_activations {found!r} is unknown; expected {', '.join(known)}")
    function, architecture = metadata.get("activation_fn", "relu"), config["architecture"]
    if function != "relu" and (function, architecture) != ("topk", "topk"):
        raise InputError(
            f"{config_path}: activation_fn {function!r} of architecture {architecture!r} is not read; expected relu, "
            "or topk with its k in activation_fn_kwargs"
        )
    target = metadata.get("hook_name_out")
    if metadata.get("is_transcoder") or (target is not None and target != metadata.get("hook_name")):
        raise InputError(
            f"{config_path}: the SAE reconstructs another place than it reads; transcoders are not read yet"
        )
    prepend_bos = metadata.get("prepend_bos")
    if prepend_bos is not None and not isinstance(prepend_bos, bool):
        raise InputError(f"{config_path}: prepend_bos is {prepend_bos!r}; expected true or false")
    reshape = config.get("reshape_activations") or "none"
    if reshape not in ("none", "hook_z"):
        raise InputError(f"{config_path}: reshape_activations {reshape!r} is unknown; expected none or hook_z")


def _params(architecture: str, config: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> SaeParams:
    W_enc, W_dec, b_dec = (take(tensors, name, path) for name in ("W_enc", "W_dec", "b_dec"))
    if W_enc.ndim != 2 or W_dec.ndim != 2 or W_enc.shape != W_dec.T.shape:
        raise InputError(
            f"{path}: W_enc {tuple(W_enc.shape)} and W_dec {tuple(W_dec.shape)} do not fit; "
            "expected [d_in, d_sae] and [d_sae, d_in]"
        )
    _refuse_other_parts(architecture, tensors, path)
    d_sae = W_enc.shape[1]
    normalisation = config["normalize_activations"]
    shared: dict[str, Any] = {
        "W_enc": W_enc,
        "W_dec": _fine_tuned(W_dec, tensors, path),
        "b_dec": b_dec,
        "subtract_b_dec": bool(config.get("apply_b_dec_to_input", True)),
        "normalisation": cast(
            Normalisation, normalisation if normalisation in ("layer_norm", "constant_norm_rescale") else "none"
        ),
    }
    if architecture == "gated":
        gate = Gate(*(take(tensors, name, path) for name in ("b_gate", "b_mag", "r_mag")))
        return SaeParams(**shared, b_enc=torch.zeros(d_sae), activation="gated", gate=gate)
    shared["b_enc"] = take(tensors, "b_enc", path)
    if architecture == "standard":
        return SaeParams(**shared, activation="relu")
    if architecture == "topk":
        ranks = bool(config.get("rescale_acts_by_decoder_norm", False))
        return SaeParams(
            **shared,
            activation="topk",
            k=_whole_k(config.get("k")),
            rank_by_dec_norm=ranks,
            dec_norms=W_dec.norm(dim=1) if ranks else None,
        )
    threshold = _threshold(tensors, d_sae, path)
    if architecture == "jumprelu":
        return SaeParams(**shared, activation="jumprelu", threshold=threshold)
    if config.get("rescale_acts_by_decoder_norm", True):  # SAELens' default in training, folded when it saves
        shared |= _unit_rows(**{name: shared[name] for name in ("W_enc", "b_enc", "W_dec")})
    return SaeParams(**shared, activation="batchtopk", threshold=threshold)


def _refuse_other_parts(architecture: str, tensors: dict[str, Tensor], path: Path) -> None:
    """A part that this architecture has no use for means that the config names another one than was trained."""
    thresholds, gate = {"threshold", "log_threshold", "topk_threshold"}, {"b_gate", "b_mag", "r_mag"}
    used = {"gated": gate, "standard": set(), "topk": set()}.get(architecture, thresholds)
    found = sorted(tensors.keys() & ((thresholds | gate | {"W_skip"}) - used))
    if found:
        raise InputError(
            f"{path}: holds {', '.join(found)}, which an SAE of architecture {architecture!r} does not have; "
            "set the architecture in cfg.json to the one that was trained"
        )


def _whole_k(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int | float) or not float(k).is_integer():
        raise InputError(f"cfg.json: k is {k!r}, expected the number of features that fire per token")
    return int(k)


def _unit_rows(W_enc: Tensor, b_enc: Tensor, W_dec: Tensor) -> dict[str, Tensor]:
    """Move the norms of the decoder's rows into the encoder, so that activations are in units of unit rows."""
    norms = W_dec.norm(dim=1)
    return {"W_enc": W_enc * norms, "b_enc": b_enc * norms, "W_dec": W_dec / norms.clamp(min=1e-8)[:, None]}


def _threshold(tensors: dict[str, Tensor], d_sae: int, path: Path) -> Tensor:
    """The inference threshold [d_sae] under the name that inference files and training checkpoints give it."""
    if "log_threshold" in tensors:
        return tensors["log_threshold"].exp()
    name = "topk_threshold" if "topk_threshold" in tensors else "threshold"
    threshold = take(tensors, name, path)
    return threshold.expand(d_sae).clone() if threshold.numel() == 1 else threshold


def _fine_tuned(W_dec: Tensor, tensors: dict[str, Tensor], path: Path) -> Tensor:
    """A legacy `scaling_factor` scales activations in the decoder only."""
    factor = tensors.get("scaling_factor")
    if factor is None:
        return W_dec
    if factor.shape != W_dec.shape[:1]:
        raise InputError(f"{path}: scaling_factor has shape {tuple(factor.shape)}, expected {tuple(W_dec.shape[:1])}")
    return W_dec * factor[:, None]


def _rescaled(params: SaeParams, config: dict[str, Any], folder: Path) -> SaeParams:
    """Fold a data-set-level input scale into the weights; it is exact: W_enc·s, W_dec/s, b_dec/s."""
    if config["normalize_activations"] != "expected_average_only_in":
        return params
    scaler = folder / "activation_scaler.json"
    scale = load_json(scaler).get("scaling_factor") if scaler.exists() else None
    if scale is None:
        raise InputError(
            f"{folder}: normalize_activations 'expected_average_only_in' needs a scale that the files do not hold; "
            f'put {{"scaling_factor": NUMBER}} into {scaler.name} beside cfg.json: sqrt(d_in) / mean norm of the input'
        )
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise InputError(f"{scaler}: scaling_factor is {scale!r}, expected a number above 0")
    wide = {name: getattr(params, name).to(torch.float64) for name in ("W_enc", "W_dec", "b_dec")}
    folded = {
        "W_enc": wide["W_enc"] * scale,
        "W_dec": wide["W_dec"] / scale,
        "b_dec": wide["b_dec"] / scale,
    }
    return replace(params, **{name: tensor.to(torch.float32) for name, tensor in folded.items()})


def _claims(metadata: dict[str, Any]) -> dict[str, float]:
    card = metadata.get("training_card") or {}
    return {key: float(card[key]) for key in ("l0", "fvu", "dead_share") if isinstance(card.get(key), int | float)}


def _is_mean_centred(metadata: dict[str, Any]) -> bool:
    kwargs = metadata.get("model_from_pretrained_kwargs") or {}
    return bool(kwargs.get("center_writing_weights", False))
