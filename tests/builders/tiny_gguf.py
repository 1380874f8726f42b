"""A GGUF file with a tiny Llama and its tokenizer, so that a conversion takes a moment."""

import json
from pathlib import Path

import gguf
import numpy as np

from featlas.testing.tiny_models import build_tiny_model, build_tiny_tokenizer

TENSORS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def save_tiny_gguf(path: Path, seed: int = 0) -> Path:
    """Write it; the weights are those of the tiny Llama of this seed, in float32."""
    tokenizer = json.loads(build_tiny_tokenizer().to_str())["model"]
    tokens = sorted(tokenizer["vocab"], key=tokenizer["vocab"].get)
    model = build_tiny_model("llama", seed=seed, n_vocab=len(tokens))
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, tensor in model.state_dict().items():
        writer.add_tensor(_gguf_name(name), _gguf_layout(name, tensor.numpy(), config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str) -> str:
    outside = {
        "model.embed_tokens.weight": "token_embd",
        "model.norm.weight": "output_norm",
        "lm_head.weight": "output",
    }
    if name in outside:
        return f"{outside[name]}.weight"
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{TENSORS[part]}.weight"


def _gguf_layout(name: str, weights: np.ndarray, config) -> np.ndarray:
    """GGUF keeps the two halves of each head's rotation side by side."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    n_heads = next((n for part, n in heads.items() if part in name), None)
    if n_heads is None:
        return weights
    rows, width = weights.shape
    return np.ascontiguousarray(weights.reshape(n_heads, 2, rows // n_heads // 2, width).swapaxes(1, 2)).reshape(
        rows, width
    )
