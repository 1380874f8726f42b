"""SAELens folders of every age and architecture become the SAE that their formulas describe."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.builders.saelens_folders import D_IN, D_SAE, OLD, make_tensors, v6, write_folder
from tests.oracles import sae as oracle
from torch import Tensor

from featlas.engine.sae import Gate, SaeParams
from featlas.exchange.saelens_files import save_saelens
from featlas.sources.sae_files import SaeFile, load_sae

ACTS = torch.randn(200, D_IN, generator=torch.Generator().manual_seed(5))


def load(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> SaeFile:
    return load_sae(str(write_folder(folder / "sae", config, tensors)))


def assert_same(found: SaeParams, expected: SaeParams, acts: Tensor = ACTS) -> None:
    """Both encode and reconstruct alike, by the slow formulas in float64."""
    np.testing.assert_allclose(oracle.encode(found, acts), oracle.encode(expected, acts), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        oracle.reconstruct(found, acts), oracle.reconstruct(expected, acts), rtol=1e-5, atol=1e-5
    )


def plain(tensors: dict[str, Tensor], **rules: Any) -> SaeParams:
    return SaeParams(**{name: tensors[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")}, **rules)


def gated(tensors: dict[str, Tensor]) -> SaeParams:
    gate = Gate(tensors["b_gate"], tensors["b_mag"], tensors["r_mag"])
    return plain({**tensors, "b_enc": torch.zeros(D_SAE)}, activation="gated", gate=gate)


# Version 6


def test_standard(tmp_path: Path) -> None:
    tensors = make_tensors()
    file = load(tmp_path, v6("standard"), tensors)
    assert_same(file.params, plain(tensors, activation="relu"))
    assert (file.format, file.architecture, file.hook_point) == ("saelens", "standard", "blocks.3.hook_resid_pre")
    assert (file.name, file.prepend_bos, file.mean_centred, file.claims) == ("sae", False, False, {})


def test_b_dec_is_left_in_the_input_where_the_config_says_so(tmp_path: Path) -> None:
    tensors = make_tensors()
    file = load(tmp_path, v6("standard", apply_b_dec_to_input=False), tensors)
    assert_same(file.params, plain(tensors, activation="relu", subtract_b_dec=False))


def test_jumprelu(tmp_path: Path) -> None:
    tensors = make_tensors("threshold")
    file = load(tmp_path, v6("jumprelu"), tensors)
    assert_same(file.params, plain(tensors, activation="jumprelu", threshold=tensors["threshold"]))


@pytest.mark.parametrize("ranks", [False, True])
def test_topk(tmp_path: Path, ranks: bool) -> None:
    tensors = make_tensors()
    file = load(tmp_path, v6("topk", k=3, rescale_acts_by_decoder_norm=ranks), tensors)
    norms = tensors["W_dec"].norm(dim=1)
    expected = plain(tensors, activation="topk", k=3, rank_by_dec_norm=ranks, dec_norms=norms if ranks else None)
    assert_same(file.params, expected)
    assert file.params.rank_by_dec_norm == ranks


def test_gated_has_no_encoder_bias(tmp_path: Path) -> None:
    tensors = make_tensors("b_gate", "b_mag", "r_mag")
    del tensors["b_enc"]
    assert_same(load(tmp_path, v6("gated"), tensors).params, gated(tensors))


@pytest.mark.parametrize("normalisation", ["layer_norm", "constant_norm_rescale"])
def test_normalisations_of_the_input(tmp_path: Path, normalisation: Any) -> None:
    tensors = make_tensors()
    file = load(tmp_path, v6("standard", normalize_activations=normalisation), tensors)
    assert_same(file.params, plain(tensors, activation="relu", normalisation=normalisation), 9 * ACTS)


def test_weights_are_float32_whatever_they_are_saved_as(tmp_path: Path) -> None:
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in make_tensors("threshold").items()}
    params = load(tmp_path, v6("jumprelu", dtype="torch.bfloat16"), tensors).params
    assert {params.W_enc.dtype, params.b_dec.dtype} == {torch.float32}
    assert torch.equal(params.W_enc, tensors["W_enc"].to(torch.float32))


def test_heads_side_by_side_are_one_vector(tmp_path: Path) -> None:
    changes = {"reshape_activations": "hook_z", "metadata": {"hook_name": "blocks.3.attn.hook_z"}}
    assert load(tmp_path, v6("standard", **changes), make_tensors()).hook_point == "blocks.3.attn.hook_z"


def test_what_the_files_say_of_the_sae_is_kept(tmp_path: Path) -> None:
    card = {"l0": 31.5, "fvu": 0.2, "dead_share": None, "text": "no figure"}
    metadata = {"neuronpedia_id": "gpt2/3-res", "prepend_bos": None, "training_card": card}
    file = load(tmp_path, v6("standard", metadata=metadata), make_tensors())
    assert (file.name, file.claims) == ("gpt2/3-res", {"l0": 31.5, "fvu": 0.2})
    assert file.prepend_bos  # the default of the format


@pytest.mark.parametrize("is_centred", [True, False])
def test_sae_of_a_centred_stream_is_known_for_one(tmp_path: Path, is_centred: bool) -> None:
    metadata = {"model_from_pretrained_kwargs": {"center_writing_weights": is_centred}}
    assert load(tmp_path, v6("standard", metadata=metadata), make_tensors()).mean_centred == is_centred


# Training checkpoints


def test_log_threshold_of_a_jumprelu_checkpoint(tmp_path: Path) -> None:
    tensors = make_tensors()
    log_threshold = torch.linspace(-3, 0, D_SAE)
    params = load(tmp_path, v6("jumprelu"), {**tensors, "log_threshold": log_threshold}).params
    assert_same(params, plain(tensors, activation="jumprelu", threshold=log_threshold.exp()))


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk"])
def test_topk_threshold_of_a_batchtopk_checkpoint(tmp_path: Path, architecture: str) -> None:
    tensors = make_tensors()
    threshold = torch.tensor(0.75, dtype=torch.float64)
    config = v6(architecture, k=3.5, rescale_acts_by_decoder_norm=False)
    params = load(tmp_path, config, {**tensors, "topk_threshold": threshold}).params
    assert_same(params, plain(tensors, activation="jumprelu", threshold=torch.full((D_SAE,), 0.75)))


@pytest.mark.parametrize("rules", [{}, {"rescale_acts_by_decoder_norm": True}])
def test_a_batchtopk_checkpoint_thresholds_in_units_of_unit_decoder_rows(tmp_path: Path, rules: Any) -> None:
    """As SAELens folds it when it saves for inference; with unfolded weights other features would fire."""
    tensors = make_tensors()
    params = load(tmp_path, v6("batchtopk", k=3, **rules), {**tensors, "topk_threshold": torch.tensor(0.75)}).params
    norms = tensors["W_dec"].norm(dim=1)
    acts = ACTS.double() - tensors["b_dec"].double()
    pre = (acts @ tensors["W_enc"].double() + tensors["b_enc"].double()) * norms.double()
    expected = torch.where(pre > 0.75, pre, 0.0)
    np.testing.assert_allclose(oracle.encode(params, ACTS), expected, rtol=1e-5, atol=1e-6)
    decoded = (expected / norms) @ tensors["W_dec"].double() + tensors["b_dec"]
    np.testing.assert_allclose(oracle.reconstruct(params, ACTS), decoded, rtol=1e-5, atol=1e-5)


def test_a_legacy_scaling_factor_scales_in_the_decoder_alone(tmp_path: Path) -> None:
    tensors = make_tensors("scaling_factor")
    params = load(tmp_path, v6("standard"), tensors).params
    unscaled = plain(tensors, activation="relu")
    np.testing.assert_allclose(oracle.encode(params, ACTS), oracle.encode(unscaled, ACTS))
    scaled = oracle.encode(unscaled, ACTS) * tensors["scaling_factor"].numpy()
    expected = scaled @ tensors["W_dec"].double().numpy() + tensors["b_dec"].double().numpy()
    np.testing.assert_allclose(oracle.reconstruct(params, ACTS), expected, rtol=1e-5, atol=1e-5)


SCALED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "standard": ((), {}),
    "jumprelu": (("threshold",), {}),
    "topk": ((), {"k": 3, "rescale_acts_by_decoder_norm": True}),
    "gated": (("b_gate", "b_mag", "r_mag"), {}),
}


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("architecture", SCALED)
def test_a_data_set_level_scale_is_folded_exactly(tmp_path: Path, architecture: str, subtract: bool) -> None:
    """What the folded SAE makes of x is what the unfolded one makes of s·x, divided by s."""
    names, rules = SCALED[architecture]
    tensors, scale = make_tensors(*names), 0.37
    rules = {**rules, "apply_b_dec_to_input": subtract}
    unfolded = load(tmp_path / "unfolded", v6(architecture, **rules), tensors).params
    folder = write_folder(
        tmp_path / "sae", v6(architecture, **rules, normalize_activations="expected_average_only_in"), tensors
    )
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": scale}))
    folded = load_sae(str(folder)).params
    inputs = ACTS.double() * 5
    np.testing.assert_allclose(
        oracle.encode(folded, inputs), oracle.encode(unfolded, scale * inputs), rtol=1e-5, atol=1e-5
    )
    expected = oracle.reconstruct(unfolded, scale * inputs) / scale
    np.testing.assert_allclose(oracle.reconstruct(folded, inputs), expected, rtol=1e-5, atol=1e-5)


# Before version 6


def test_the_oldest_names_and_defaults(tmp_path: Path) -> None:
    tensors = make_tensors()
    file = load(tmp_path, OLD, tensors)
    assert_same(file.params, plain(tensors, activation="relu"))
    assert (file.architecture, file.hook_point, file.prepend_bos) == ("standard", "blocks.3.hook_resid_pre", True)


def test_an_old_topk_is_one_by_its_activation_function(tmp_path: Path) -> None:
    tensors = make_tensors()
    config = {**OLD, "architecture": "standard", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4}}
    file = load(tmp_path, config, tensors)
    assert file.architecture == "topk"
    assert_same(file.params, plain(tensors, activation="topk", k=4))


@pytest.mark.parametrize(
    ("architecture", "names"), [("jumprelu", ("threshold",)), ("gated", ("b_gate", "b_mag", "r_mag"))]
)
def test_old_architectures_by_name(tmp_path: Path, architecture: str, names: tuple[str, ...]) -> None:
    tensors = make_tensors(*names)
    params = load(tmp_path, {**OLD, "architecture": architecture, "apply_b_dec_to_input": False}, tensors).params
    assert not params.subtract_b_dec
    assert params.activation == architecture


@pytest.mark.parametrize(("value", "expected"), [(False, "none"), (None, "none"), ("layer_norm", "layer_norm")])
def test_old_spellings_of_the_normalisation(tmp_path: Path, value: Any, expected: str) -> None:
    assert load(tmp_path, {**OLD, "normalize_activations": value}, make_tensors()).params.normalisation == expected


def test_old_names_beside_metadata_are_read_too(tmp_path: Path) -> None:
    """Or a TopK would become a ReLU, with a BOS that it was not trained with."""
    tensors = make_tensors()
    kwargs = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4}, "prepend_bos": False}
    config = {**OLD, "architecture": "standard", **kwargs, "metadata": {"sae_lens_version": "5.0.0"}}
    file = load(tmp_path, config, tensors)
    assert_same(file.params, plain(tensors, activation="topk", k=4))
    assert (file.hook_point, file.prepend_bos) == ("blocks.3.hook_resid_pre", False)
    assert file.config["metadata"]["sae_lens_version"] == "5.0.0"


# What Featlas writes


@pytest.mark.parametrize(
    ("architecture", "names", "rules"), [("jumprelu", ("threshold",), {}), ("topk", (), {"k": 3}), ("standard", (), {})]
)
def test_what_is_saved_is_read_back(tmp_path: Path, architecture: str, names: tuple[str, ...], rules: Any) -> None:
    tensors = make_tensors(*names)
    card = {"l0": 3.0, "fvu": 0.25, "seed": 0}
    metadata = {"hook_name": "blocks.7.hook_resid_post", "prepend_bos": False, "training_card": card}
    config = {"architecture": architecture, "d_in": D_IN, "d_sae": D_SAE, "metadata": metadata, **rules}
    folder = tmp_path / "made" / "here"
    save_saelens(folder, {name: tensor.numpy() for name, tensor in tensors.items()}, config)
    file = load_sae(str(folder))
    for name, tensor in tensors.items():
        assert torch.equal(getattr(file.params, name), tensor)
    assert (file.params.k, file.hook_point, file.prepend_bos) == (rules.get("k"), "blocks.7.hook_resid_post", False)
    assert file.claims == {"l0": 3.0, "fvu": 0.25}
    assert math.isclose(file.config["metadata"]["training_card"]["fvu"], 0.25)
