"""Opening a model: what it is known by, and what is refused before a token is read."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from featlas.domain import HookPoint
from featlas.engine.language_model import LanguageModel, choose_device
from featlas.errors import ExternalError, InputError, NotFoundError
from featlas.testing.tiny_models import D_MODEL, MAX_POSITIONS, N_LAYERS, save_tiny_model

WEIGHT = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "llama", "llama")


RESID = HookPoint.parse("blocks.1.hook_resid_post")


@pytest.fixture
def folder(kept_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(kept_folder, tmp_path / "model"))


def load(folder: Path | str, dtype: str = "float32") -> LanguageModel:
    return LanguageModel.load(str(folder), dtype=dtype, device="cpu")


def test_it_says_what_it_is(folder: Path) -> None:
    model = load(folder)
    assert (model.d_model, model.n_layers, model.max_positions) == (D_MODEL, N_LAYERS, MAX_POSITIONS)
    assert model.n_vocab == json.loads((folder / "config.json").read_text())["vocab_size"]
    assert not any(parameter.requires_grad for parameter in model.model.parameters())
    assert not model.model.training


def test_the_fingerprint_depends_on_the_weights_and_not_on_the_place(folder: Path, kept_folder: Path) -> None:
    known = load(kept_folder).fingerprint
    assert load(folder).fingerprint == known
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, WEIGHT: weights[WEIGHT] * 1.001}, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).fingerprint != known
    assert load(kept_folder, "bfloat16").fingerprint != known


def test_the_fingerprint_depends_on_the_config(folder: Path, kept_folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-4}))
    assert load(folder).fingerprint != load(kept_folder).fingerprint


def test_activations_are_float32_whatever_the_forward_runs_in(folder: Path) -> None:
    point = HookPoint.parse("blocks.1.hook_mlp_out")
    ids = torch.arange(12)[None]
    exact, rough = (load(folder, dtype).activations(ids, [point])[point] for dtype in ("float32", "bfloat16"))
    assert exact.dtype == rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert float((exact - rough).norm() / exact.norm()) < 0.05


def test_a_missing_folder_is_not_found() -> None:
    for name in ("/no/such/folder", "./no/such/folder"):
        with pytest.raises(NotFoundError, match=f"{name}.*does not exist"):
            load(name)


def test_a_name_that_the_hub_cannot_give_is_an_outside_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ExternalError, match="'nobody/nothing' is no local folder and could not be had from the hub"):
        load("nobody/nothing")


@pytest.mark.parametrize(
    ("content", "expected"),
    [("{", "not a valid JSON"), ('{"model_type": "frobnicate"}', "frobnicate"), ('{"model_type": "t5"}', "T5Config")],
)
def test_a_config_of_no_causal_language_model_is_refused(folder: Path, content: str, expected: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(InputError, match=f"{folder}.*{expected}"):
        load(folder)


def test_missing_files_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=rf"{folder}.*model\.safetensors"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=rf"{folder}.*config\.json"):
        load(folder)


def test_truncated_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{folder}.*could not be opened"):
        load(folder)


def test_missing_weights_are_refused_rather_than_random(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[WEIGHT]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f"lacks weights \\({WEIGHT}"):
        load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, WEIGHT: torch.zeros(3, 3)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f"{folder}.*could not be opened"):
        load(folder)


@pytest.mark.parametrize("name", ["banana", "cuda:99", "cpu:x", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}' is not on this machine; expected auto or one of"):
        choose_device(name)


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


def test_more_tokens_than_positions_are_refused(folder: Path) -> None:
    model, words = load(folder), f"contexts of {MAX_POSITIONS + 1} tokens, but .* has {MAX_POSITIONS} positions"
    model.require_room(MAX_POSITIONS)
    model.activations(torch.zeros(1, MAX_POSITIONS, dtype=torch.long), [RESID])
    with pytest.raises(InputError, match=words):
        model.require_room(MAX_POSITIONS + 1)
    with pytest.raises(InputError, match=words):
        model.activations(torch.zeros(1, MAX_POSITIONS + 1, dtype=torch.long), [RESID])


def test_a_token_outside_the_vocabulary_is_refused(folder: Path) -> None:
    model = load(folder)
    model.activations(torch.tensor([[0, model.n_vocab - 1]]), [RESID])
    with pytest.raises(InputError, match=f"token id {model.n_vocab}, but .* has {model.n_vocab} ids"):
        model.activations(torch.tensor([[0, model.n_vocab]]), [RESID])


def test_activations_that_are_not_numbers_are_refused(folder: Path) -> None:
    """float16 ends at 65,504; what outgrows it must not become features that are silent."""
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, WEIGHT: weights[WEIGHT] * 1e30}, folder / "model.safetensors", {"format": "pt"})
    before = HookPoint.parse("blocks.0.hook_resid_post")
    ids = torch.arange(12)[None]
    assert bool(load(folder).activations(ids, [before])[before].isfinite().all())
    with pytest.raises(
        InputError, match=r"NaN or infinity at blocks\.1\.hook_resid_post in torch\.float16.*--lm-dtype"
    ):
        load(folder, "float16").activations(ids, [RESID])
