"""The self-check from files to verdict: the right place fits; what the files say wrongly is refused with its cure."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from featlas.engine.language_model import LanguageModel
from featlas.errors import InputError
from featlas.exchange.saelens_files import save_saelens
from featlas.pipeline.check import run_check
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.pipeline.registry import JobContext
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import CheckSpec
from featlas.testing.tiny_models import D_MODEL, save_tiny_model

CTX_LEN, N_AXES = 32, 20
HERE = "blocks.1.hook_resid_post"
WORDS = (
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "while",
    "some",
    "old",
    "dog",
    "ran",
    "past",
    "it",
    "rained",
    "for",
    "days",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of two architectures and a text of about 3,000 tokens, under 4,096, so that the sample is all of it."""
    folder = tmp_path_factory.mktemp("check")
    for architecture in ("llama", "gpt2"):
        save_tiny_model(folder / architecture, architecture)
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, size=40)) for _ in range(30)]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return folder


def read_acts(folder: Path, architecture: str, *, bos: bool = False) -> Tensor:
    """Every position of every window, at HERE, from the library's hidden states. [n, d_model]."""
    model = LanguageModel.load(str(folder / architecture), device="cpu")
    tokenizer = Tokenizer.load(folder / architecture)
    texts = [json.loads(line)["text"] for line in (folder / "texts.jsonl").read_text().splitlines()]
    width = CTX_LEN - bos
    parts = []
    for ids in tokenizer.encode_batch(texts):
        for start in range(0, len(ids), width):
            window = torch.tensor([0] * bos + ids[start : start + width].tolist())[None]
            parts.append(model.model(window, output_hidden_states=True).hidden_states[2][0, bos:])
    return torch.cat(parts)


def principal_tensors(x: Tensor) -> dict[str, np.ndarray]:
    """A standard SAE with two features for each of the first principal directions of x, one each way."""
    axes = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh[:N_AXES]
    directions = torch.cat([axes, -axes])
    b_enc = torch.zeros(2 * N_AXES)
    tensors = {"W_enc": directions.T, "b_enc": b_enc, "W_dec": directions, "b_dec": x.mean(0)}
    return {name: tensor.contiguous().numpy() for name, tensor in tensors.items()}


@pytest.fixture
def check(folder: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Saves an SAE with the given tensors and config and checks it."""

    def run(
        tensors: dict[str, np.ndarray], architecture: str = "llama", hook_point: str = "", **config: Any
    ) -> dict[str, Any]:
        metadata = {"hook_name": HERE, "prepend_bos": False, **config.pop("metadata", {})}
        shape = {"d_in": tensors["W_enc"].shape[0], "d_sae": tensors["W_enc"].shape[1]}
        save_saelens(tmp_path / "sae", tensors, {"architecture": "standard", **shape, **config, "metadata": metadata})
        spec = CheckSpec(
            model=str(folder / architecture),
            sae=str(tmp_path / "sae"),
            text=(str(folder / "texts.jsonl"),),
            ctx_len=CTX_LEN,
            hook_point=hook_point,
        )
        context = JobContext(
            store=cast(Any, None),  # a check publishes nothing
            artifacts_path=tmp_path,
            cache_path=tmp_path,
            device="cpu",
            threads=1,
            job_id=None,
            guard=lambda _session: None,
            progress=NoProgress(),
            stop=NeverStop(),
        )
        return run_check(spec, context)

    return run


Check = Callable[..., dict[str, Any]]


def test_the_right_sae_fits_and_its_figures_are_those_of_the_text(folder: Path, check: Check) -> None:
    x = read_acts(folder, "llama")
    found = check(principal_tensors(x), metadata={"training_card": {"fvu": 0.2, "l0": 20.0}})
    assert not found["is_refused"]
    centred = (x - x.mean(0)).double()
    kept = torch.linalg.svdvals(centred)[:N_AXES].square().sum() / centred.square().sum()
    assert found["explained_variance"] == pytest.approx(float(kept), abs=1e-4)
    assert found["l0"] == pytest.approx(N_AXES, abs=1e-3)  # one of the two ways of each direction
    assert (found["n_tokens"], found["n_sinks"], found["dead_share"]) == (len(x), 0, 0)
    assert (found["hook_point"], found["claims"]) == (HERE, {"fvu": 0.2, "l0": 20.0})
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("wrong", ["blocks.0.hook_resid_post", "blocks.2.hook_resid_post"])
def test_a_neighbouring_layer_is_refused_with_the_option_that_cures_it(folder: Path, check: Check, wrong: str) -> None:
    found = check(principal_tensors(read_acts(folder, "llama")), hook_point=wrong)
    assert found["is_refused"]
    assert found["verdict"].endswith(f"run with --hook-point {HERE}")


def test_b_dec_as_the_config_has_it_wrongly_is_refused(folder: Path, check: Check) -> None:
    found = check(principal_tensors(read_acts(folder, "llama")), apply_b_dec_to_input=False)
    assert found["is_refused"]
    assert found["verdict"].endswith("set apply_b_dec_to_input to true in cfg.json")


def test_a_bos_in_front_is_not_counted(folder: Path, check: Check) -> None:
    x = read_acts(folder, "llama", bos=True)
    found = check(principal_tensors(x), metadata={"prepend_bos": True})
    assert not found["is_refused"]
    assert found["n_tokens"] == len(x)
    centred = (x - x.mean(0)).double()
    kept = torch.linalg.svdvals(centred)[:N_AXES].square().sum() / centred.square().sum()
    assert found["explained_variance"] == pytest.approx(float(kept), abs=1e-4)


CENTRED = {"model_from_pretrained_kwargs": {"center_writing_weights": True}}


def test_an_sae_of_a_centred_stream_reads_one_where_norms_subtract_the_mean(folder: Path, check: Check) -> None:
    x = read_acts(folder, "gpt2")
    centred = x - x.mean(dim=1, keepdim=True)
    found, without = (check(principal_tensors(centred), "gpt2", metadata=metadata) for metadata in (CENTRED, {}))
    spread = (centred - centred.mean(0)).double()
    kept = torch.linalg.svdvals(spread)[:N_AXES].square().sum() / spread.square().sum()
    assert found["explained_variance"] == pytest.approx(float(kept), abs=1e-4)
    assert without["explained_variance"] < found["explained_variance"] - 0.01


def test_where_norms_do_not_the_flag_means_nothing(folder: Path, check: Check) -> None:
    tensors = principal_tensors(read_acts(folder, "llama"))
    found, without = (check(tensors, "llama", metadata=metadata) for metadata in (CENTRED, {}))
    assert found["explained_variance"] == without["explained_variance"]


def test_an_sae_of_another_width_is_refused(folder: Path, check: Check) -> None:
    tensors = principal_tensors(torch.randn(100, D_MODEL + 1, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(InputError, match=rf"the SAE reads vectors of 33, but {HERE} of .*llama has 32"):
        check(tensors)


def test_an_sae_that_does_not_say_where_it_reads_needs_to_be_told(folder: Path, check: Check) -> None:
    tensors = principal_tensors(read_acts(folder, "llama"))
    with pytest.raises(InputError, match="name no hook point; give --hook-point"):
        check(tensors, metadata={"hook_name": None})
    assert not check(tensors, hook_point=HERE, metadata={"hook_name": None})["is_refused"]


@pytest.mark.parametrize("hook_point", ["blocks.3.hook_resid_post", "blocks.1.hook_everything"])
def test_a_hook_point_that_is_not_there_is_refused(folder: Path, check: Check, hook_point: str) -> None:
    with pytest.raises(InputError, match=hook_point):
        check(principal_tensors(read_acts(folder, "llama")), hook_point=hook_point)
