"""Tiny random language models of real architectures, so that tests run the real code on a model made in a moment."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

D_MODEL = 32
N_LAYERS = 3
N_HEADS = 4
MAX_POSITIONS = 256
BOS = "<|endoftext|>"
SPECIAL_TOKENS = (BOS, "<|user|>", "<|assistant|>")
N_MERGES = 120
TEXTS = (
    "The cat sat on the mat and the dog sat on the log. It was raining, and there was nothing that they could do.",
    "def add(first, second):\n    return first + second\n\nfor number in range(10):\n    print(number)\n",
    "In the year 1790 the president spoke to the members of the Senate and of the House of Representatives.",
)


def build_tiny_tokenizer(texts: Iterable[str] = TEXTS, n_merges: int = N_MERGES) -> Tokenizer:
    """A byte-level BPE tokenizer trained on the texts: at most 3 + 256 + n_merges ids, the first being the BOS."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIAL_TOKENS) + 256 + n_merges,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _gpt2(shared: dict[str, Any]) -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(n_positions=MAX_POSITIONS, **shared))


def _llama(shared: dict[str, Any]) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(intermediate_size=2 * D_MODEL, num_key_value_heads=2, **shared))


def _neox(shared: dict[str, Any]) -> PreTrainedModel:
    return GPTNeoXForCausalLM(GPTNeoXConfig(intermediate_size=2 * D_MODEL, **shared))


def _gemma2(shared: dict[str, Any]) -> PreTrainedModel:
    config = Gemma2Config(
        intermediate_size=2 * D_MODEL,
        num_key_value_heads=2,
        head_dim=16,  # not d_model / n_heads, so that the width of z differs from d_model
        query_pre_attn_scalar=16,
        attn_logit_softcapping=2.0,  # low enough to matter
        sliding_window=8,
        **shared,
    )
    return Gemma2ForCausalLM(config)


def _qwen2(shared: dict[str, Any]) -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(intermediate_size=2 * D_MODEL, num_key_value_heads=2, **shared))


_BUILDERS: dict[str, Callable[[dict[str, Any]], PreTrainedModel]] = {
    "gpt2": _gpt2,
    "llama": _llama,
    "neox": _neox,
    "gemma2": _gemma2,
    "qwen2": _qwen2,
}
ARCHITECTURES = tuple(_BUILDERS)


def build_tiny_model(
    architecture: str = "llama", *, seed: int = 0, n_layers: int = N_LAYERS, n_vocab: int = 0
) -> PreTrainedModel:
    """A random float32 model, d_model 32 with 4 heads; n_vocab 0 fits `build_tiny_tokenizer()`.

    All weights, gains and biases differ from their neutral values, so that a forgotten one changes the activations.
    The global random state is left as it was.
    """
    shared = {
        "vocab_size": n_vocab or len(SPECIAL_TOKENS) + 256 + N_MERGES,
        "hidden_size": D_MODEL,
        "num_hidden_layers": n_layers,
        "num_attention_heads": N_HEADS,
        "max_position_embeddings": MAX_POSITIONS,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _BUILDERS[architecture](shared).eval()
        for parameter in model.parameters():
            scale = 0.3 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
            offset = 1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0
            torch.nn.init.normal_(parameter, offset, scale)
    return model


def save_tiny_model(
    folder: Path, architecture: str = "llama", *, seed: int = 0, n_layers: int = N_LAYERS, texts: Iterable[str] = TEXTS
) -> Path:
    """Write a tiny model with its tokenizer, trained on the texts, as a folder that opens like any local model."""
    tokenizer = build_tiny_tokenizer(texts)
    n_vocab = tokenizer.get_vocab_size()
    build_tiny_model(architecture, seed=seed, n_layers=n_layers, n_vocab=n_vocab).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS).save_pretrained(folder)
    return folder
