"""Folders that are broken, incomplete or ask for what is not there are refused by file, key and value."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders.saelens_folders import D_IN, D_SAE, OLD, make_tensors, v6, write_folder
from torch import Tensor

from featlas.errors import ExternalError, InputError, NotFoundError
from featlas.exchange.saelens_files import save_saelens
from featlas.sources.sae_files import load_sae

WEIGHTS = "sae_weights.safetensors"


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_sae(str(folder))
    assert str(folder) in str(caught.value)
    return str(caught.value)


def written(tmp_path: Path, config: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> Path:
    return write_folder(tmp_path / "sae", config, make_tensors() if tensors is None else tensors)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere' does not exist; give a folder with cfg\.json"):
        load_sae(str(tmp_path / "nowhere"))


def test_a_folder_without_an_sae(tmp_path: Path) -> None:
    assert "found nothing; expected saelens: cfg.json and sae_weights.safetensors" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    assert "found notes.txt" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["cfg.json", WEIGHTS])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path, v6("standard"))
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)


@pytest.mark.parametrize(("content", "expected"), [("{", "not valid JSON"), ("[1]", "list, expected a JSON object")])
def test_a_broken_config(tmp_path: Path, content: str, expected: str) -> None:
    folder = written(tmp_path, v6("standard"))
    (folder / "cfg.json").write_text(content)
    message = refusal(folder)
    assert "cfg.json" in message
    assert expected in message


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_weights(tmp_path: Path, share: float) -> None:
    folder = written(tmp_path, v6("standard"))
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: int(share * len(content))])
    message = refusal(folder)
    assert WEIGHTS in message
    assert "truncated or damaged" in message


@pytest.mark.parametrize("name", ["W_enc", "b_enc", "W_dec", "b_dec"])
def test_a_missing_tensor(tmp_path: Path, name: str) -> None:
    tensors = make_tensors()
    del tensors[name]
    message = refusal(written(tmp_path, v6("standard"), tensors))
    assert f"has no tensor '{name}'; it holds" in message


@pytest.mark.parametrize(
    ("architecture", "name"), [("jumprelu", "threshold"), ("batchtopk", "threshold"), ("gated", "b_gate")]
)
def test_a_missing_tensor_of_the_architecture(tmp_path: Path, architecture: str, name: str) -> None:
    assert f"has no tensor '{name}'" in refusal(written(tmp_path, v6(architecture)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["W_enc", "b_enc", "W_dec", "b_dec", "threshold"])
def test_weights_that_are_not_numbers(tmp_path: Path, name: str, value: float) -> None:
    tensors = make_tensors("threshold")
    tensors[name].view(-1)[0] = value
    assert f"SAE tensor {name} holds NaN or infinity" in refusal(written(tmp_path, v6("jumprelu"), tensors))


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("W_enc", (D_SAE, D_IN), "W_enc (10, 6) and W_dec (10, 6) do not fit"),
        ("W_dec", (D_IN,), "W_enc (6, 10) and W_dec (6,) do not fit"),
        ("b_enc", (D_SAE - 1,), "b_enc has shape (9,), expected (10,)"),
        ("b_dec", (D_SAE,), "b_dec has shape (10,), expected (6,)"),
        ("threshold", (3,), "threshold has shape (3,), expected (10,)"),
        ("scaling_factor", (3,), "scaling_factor has shape (3,), expected (10,)"),
    ],
)
def test_wrong_shapes(tmp_path: Path, name: str, shape: tuple[int, ...], expected: str) -> None:
    tensors = {**make_tensors("threshold"), name: torch.zeros(shape)}
    assert expected in refusal(written(tmp_path, v6("jumprelu"), tensors))


@pytest.mark.parametrize(("key", "found"), [("d_in", D_IN), ("d_sae", D_SAE)])
@pytest.mark.parametrize("value", [99, "many", None])
def test_sizes_that_contradict_the_weights(tmp_path: Path, key: str, found: int, value: Any) -> None:
    message = refusal(written(tmp_path, v6("standard", **{key: value})))
    assert f"cfg.json: {key} is {value!r} but the weights have {found}" in message


@pytest.mark.parametrize("architecture", ["transcoder", "temporal", "Standard", ""])
def test_an_architecture_that_is_not_read(tmp_path: Path, architecture: str) -> None:
    message = refusal(written(tmp_path, v6(architecture)))
    assert f"cfg.json: architecture {architecture!r} is not read; expected standard, jumprelu" in message


@pytest.mark.parametrize("k", [0, -1, 11, 2.5, float("nan"), None, "many", True])
def test_a_k_that_cannot_be(tmp_path: Path, k: Any) -> None:
    message = refusal(written(tmp_path, v6("topk", k=k)))
    assert "k" in message
    assert str(k) in message


def test_negative_thresholds(tmp_path: Path) -> None:
    tensors = {**make_tensors(), "threshold": torch.full((D_SAE,), -0.25)}
    assert "negative thresholds (down to -0.25)" in refusal(written(tmp_path, v6("jumprelu"), tensors))


@pytest.mark.parametrize("value", ["maybe", "false", 1, []])
def test_a_bos_rule_that_is_neither_true_nor_false(tmp_path: Path, value: Any) -> None:
    message = refusal(written(tmp_path, v6("standard", metadata={"prepend_bos": value})))
    assert f"prepend_bos is {value!r}; expected true or false" in message


def test_one_head_of_many(tmp_path: Path) -> None:
    assert "hook_head_index" in refusal(written(tmp_path, v6("standard", metadata={"hook_head_index": 3})))
    assert "hook_head_index" in refusal(written(tmp_path, {**OLD, "hook_point_head_index": 0}))


def test_an_unknown_normalisation(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, v6("standard", normalize_activations="whitened")))
    assert "cfg.json: normalize_activations 'whitened' is unknown; expected none, layer_norm" in message


@pytest.mark.parametrize("function", ["tanh-relu", "topk"])
def test_an_activation_function_that_would_be_read_as_another(tmp_path: Path, function: str) -> None:
    """A topk without its k, say, must not become a ReLU."""
    message = refusal(written(tmp_path, {**OLD, "architecture": "standard", "activation_fn_str": function}))
    assert f"cfg.json: activation_fn {function!r} of architecture 'standard' is not read; expected relu" in message


@pytest.mark.parametrize(
    ("architecture", "part"), [("standard", "threshold"), ("topk", "topk_threshold"), ("jumprelu", "b_gate")]
)
def test_parts_of_another_architecture(tmp_path: Path, architecture: str, part: str) -> None:
    tensors = make_tensors(*{"threshold", part} if architecture == "jumprelu" else {part})
    message = refusal(written(tmp_path, v6(architecture, k=3), tensors))
    assert f"holds {part}, which an SAE of architecture {architecture!r} does not have" in message


@pytest.mark.parametrize("metadata", [{"hook_name_out": "blocks.3.hook_mlp_out"}, {"is_transcoder": True}])
def test_a_transcoder_under_another_name(tmp_path: Path, metadata: dict[str, Any]) -> None:
    assert "transcoders are not read yet" in refusal(written(tmp_path, v6("standard", metadata=metadata)))


def test_a_skip_connection(tmp_path: Path) -> None:
    tensors = {**make_tensors(), "W_skip": torch.zeros(D_IN, D_IN)}
    assert "holds W_skip" in refusal(written(tmp_path, v6("standard"), tensors))


def test_an_unknown_shape_of_the_input(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, v6("standard", reshape_activations="heads")))
    assert "cfg.json: reshape_activations 'heads' is unknown; expected none or hook_z" in message


@pytest.mark.parametrize(
    "config", [v6("standard", normalize_activations="expected_average_only_in"), {**OLD, "normalize_activations": True}]
)
def test_a_data_set_level_scale_that_is_not_there(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = written(tmp_path, config)
    assert "activation_scaler.json" in refusal(folder)
    (folder / "activation_scaler.json").write_text('{"scaling_factor": null}')
    assert 'put {"scaling_factor": NUMBER} into activation_scaler.json' in refusal(folder)


@pytest.mark.parametrize("scale", [0, -2.0, "large", True])
def test_a_data_set_level_scale_that_cannot_be(tmp_path: Path, scale: Any) -> None:
    folder = written(tmp_path, v6("standard", normalize_activations="expected_average_only_in"))
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": scale}))
    message = refusal(folder)
    assert f"activation_scaler.json: scaling_factor is {scale!r}, expected a number above 0" in message


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tensors = {name: tensor.numpy() for name, tensor in make_tensors().items()}
    with pytest.raises(ExternalError, match=f"could not be written to {tmp_path}/file/sae"):
        save_saelens(tmp_path / "file" / "sae", tensors, {"architecture": "standard", "d_in": D_IN, "d_sae": D_SAE})
