"""The logit lens against the model's own norm and unembedding, of every tiny architecture."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from featlas.domain import HookPoint, Site
from featlas.engine import rankings
from featlas.engine.directions import UnitDirections
from featlas.engine.logits import find_readout, read_token_effects, why_no_logits
from featlas.errors import InputError
from featlas.testing.tiny_models import ARCHITECTURES, build_tiny_model

SMALL: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
WIDE = {**SMALL, "intermediate_size": 24}
OTHERS = {
    "cohere": lambda: CohereForCausalLM(CohereConfig(**WIDE, num_key_value_heads=2)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**WIDE, num_key_value_heads=2, head_dim=8)),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**WIDE)),
    "odd": lambda: LlamaForCausalLM(
        LlamaConfig(**{**WIDE, "hidden_size": 15, "num_attention_heads": 1, "head_dim": 8})
    ),
    "olmo": lambda: OlmoForCausalLM(OlmoConfig(**WIDE)),  # its norm has no parameters
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**WIDE)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**SMALL, ffn_dim=24, word_embed_proj_dim=16)),
    "phi": lambda: PhiForCausalLM(PhiConfig(**WIDE)),  # its unembedding has a bias
}
FINAL_NORM = {"gpt2": "ln_f", "neox": "final_layer_norm", "opt": "final_layer_norm"}
FINAL_NORM |= {"phi": "final_layernorm"}


@cache
def model_of(architecture: str) -> Any:
    if architecture in ARCHITECTURES:
        return build_tiny_model(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = OTHERS[architecture]().eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.3)
    return model


def norm_of(architecture: str) -> torch.nn.Module:
    """By the name that the library gives it, which the code under test does not know."""
    name = FINAL_NORM.get(architecture, "norm")
    named = model_of(architecture).named_modules()
    (norm,) = (module for path, module in named if path.split(".")[-1] == name and "layers." not in path)
    return norm


def made(architecture: str, n: int = 12) -> Tensor:
    width = model_of(architecture).config.hidden_size
    return torch.randn(n, width, generator=torch.Generator().manual_seed(2)) + 0.3


def by_its_own_modules(architecture: str, unit: Tensor) -> Tensor:
    """What the model's own norm and unembedding make of the unit directions, the norm's division undone."""
    model, norm = model_of(architecture), norm_of(architecture)
    large = 1000 * unit
    odd = (norm(large) - norm(-large)) / 2  # a bias is the same for both
    logits = model.get_output_embeddings()(odd) - model.get_output_embeddings()(torch.zeros_like(odd))
    centred = unit - unit.mean(1, keepdim=True) if subtracts_mean(architecture) else unit
    return logits * centred.square().mean(1, keepdim=True).sqrt()


def subtracts_mean(architecture: str) -> bool:
    return architecture in ("gpt2", "neox", "cohere", "olmo", "opt", "phi")


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *OTHERS])
def test_effects_are_those_of_the_models_own_norm_and_unembedding(architecture: str) -> None:
    readout = find_readout(model_of(architecture))
    unit = UnitDirections.of(made(architecture)).vectors
    with torch.no_grad():
        expected = by_its_own_modules(architecture, unit)
    assert subtracts_mean(architecture) == readout.subtracts_mean
    torch.testing.assert_close(readout.to_logits(unit), expected, rtol=1e-4, atol=1e-4)


def test_a_gain_that_is_added_to_one_is_added_to_one() -> None:
    readout = find_readout(model_of("gemma2"))
    torch.testing.assert_close(readout.gain, 1 + norm_of("gemma2").weight, rtol=1e-5, atol=1e-5)


def test_half_precision_is_read_in_float32() -> None:
    whole, half = model_of("llama"), build_tiny_model("llama").to(torch.bfloat16)
    readout = find_readout(half)
    assert torch.float32 is readout.gain.dtype is readout.W_U.dtype
    torch.testing.assert_close(readout.gain, find_readout(whole).gain, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("n_tokens", [1, 4, 10_000])
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_tokens_are_ranked_from_both_ends(monkeypatch: pytest.MonkeyPatch, n_tokens: int, rows: int) -> None:
    readout = find_readout(model_of("gpt2"))
    n_vocab = len(readout.W_U)
    monkeypatch.setattr(rankings, "TILE_BYTES", 4 * n_vocab * rows)
    vectors = made("gpt2")
    vectors[3] = 0
    directions = UnitDirections.of(vectors)
    found = list(read_token_effects(readout, directions, n_tokens))
    assert list(range(0, 12, rows)) == [part.first for part in found]
    logits = readout.to_logits(directions.vectors).numpy()
    k = min(n_tokens, n_vocab)
    for feature in sorted({*range(12)} - {3}):
        part, at = found[feature // rows], feature % rows
        ranked = np.lexsort((np.arange(n_vocab), -logits[feature]))[:k]
        np.testing.assert_allclose(logits[feature, ranked], part.promoted_effect[at], atol=1e-5)
        np.testing.assert_allclose(logits[feature, part.promoted[at]], part.promoted_effect[at], atol=1e-5)
        np.testing.assert_allclose(logits[feature, part.suppressed[at]], part.suppressed_effect[at], atol=1e-5)
        np.testing.assert_allclose(np.sort(logits[feature])[:k], part.suppressed_effect[at], atol=1e-5)


def test_padding_of_the_unembedding_is_no_token() -> None:
    assert 40 == len(find_readout(model_of("granite"), 40).W_U)


def test_tokens_that_tie_are_listed_by_id() -> None:
    readout = find_readout(build_tiny_model("llama"))
    readout.W_U[:] = readout.W_U[0].clone()
    (found,) = read_token_effects(readout, UnitDirections.of(torch.eye(32)[:1]), 3)  # sums of one number are exact
    assert ([[0, 1, 2]], [[0, 1, 2]]) == (found.promoted.tolist(), found.suppressed.tolist())


@pytest.mark.parametrize("site", list(Site))
def test_only_what_is_added_to_the_stream_can_be_read_off(site: Site) -> None:
    found = why_no_logits(HookPoint(1, site), 16, 16)
    assert (site in (Site.Z, Site.MLP_IN)) == (found is not None)
    if found is None:
        assert "vectors of 16, but the residual stream has 32" in str(why_no_logits(HookPoint(1, site), 16, 32))


class Squashed(torch.nn.Module):
    """A norm that is none."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * torch.tanh(x)


def test_what_is_not_understood_is_refused() -> None:
    strange = build_tiny_model("llama")
    strange.model.norm = Squashed(32)
    with pytest.raises(InputError, match="Squashed does more than to norm"):
        find_readout(strange)
    strange.model.norm = torch.nn.Identity()
    with pytest.raises(InputError, match="no final norm was found"):
        find_readout(strange)
    projected = OPTForCausalLM(OPTConfig(**SMALL, ffn_dim=24, word_embed_proj_dim=8))
    with pytest.raises(InputError, match="width 16, found one of width 8"):
        find_readout(projected)
