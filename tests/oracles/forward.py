"""The forward pass of each tiny model by hand, from its weights: what must be seen at every site of every block."""

import math
from typing import Any

import torch
from torch import Tensor

Sites = dict[str, Tensor]  # TransformerLens' name of the site → [n_contexts, ctx_len, width]


def sites_by_hand(architecture: str, model: Any, token_ids: Tensor) -> list[Sites]:
    """Per block, the activations at each site; `embed` is in the first one."""
    if architecture == "gpt2":
        return _gpt2(model, token_ids)
    if architecture == "neox":
        return _neox(model, token_ids)
    return _llama_like(model, token_ids, is_gemma=architecture == "gemma2")


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float, *, softcap: float = 0.0, window: int = 0) -> Tensor:
    """Causal attention, heads concatenated. q, k, v: [n, n_heads, ctx, d_head] → [n, ctx, n_heads · d_head]."""
    scores = q @ k.transpose(-1, -2) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    place = torch.arange(q.shape[2])
    distance = place[:, None] - place[None, :]
    is_seen = (distance >= 0) & ((distance < window) if window else torch.tensor(True))
    weights = scores.masked_fill(~is_seen, -math.inf).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def rotate(x: Tensor, theta: float, n_rotated: int) -> Tensor:
    """Rotary position embedding of the first n_rotated values of each head. x: [n, n_heads, ctx, d_head]."""
    half = n_rotated // 2
    frequency = theta ** (-torch.arange(half) * 2 / n_rotated)
    angle = torch.arange(x.shape[2])[:, None] * frequency[None, :]
    first, second = x[..., :half], x[..., half:n_rotated]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin, x[..., n_rotated:]], dim=-1)


def _heads(x: Tensor, d_head: int) -> Tensor:
    return x.unflatten(-1, (-1, d_head)).transpose(1, 2)


def _gpt2(model: Any, token_ids: Tensor) -> list[Sites]:
    body = model.transformer
    d_head = model.config.n_embd // model.config.n_head
    embed = body.wte.weight[token_ids]
    stream = embed + body.wpe.weight[: token_ids.shape[1]]
    blocks: list[Sites] = []
    for block in body.h:
        joint = block.ln_1(stream) @ block.attn.c_attn.weight + block.attn.c_attn.bias
        q, k, v = (_heads(part, d_head) for part in joint.chunk(3, dim=-1))
        z = attend(q, k, v, d_head**-0.5)
        attn_out = z @ block.attn.c_proj.weight + block.attn.c_proj.bias
        mid = stream + attn_out
        mlp_in = block.ln_2(mid)
        hidden = torch.nn.functional.gelu(mlp_in @ block.mlp.c_fc.weight + block.mlp.c_fc.bias, approximate="tanh")
        mlp_out = hidden @ block.mlp.c_proj.weight + block.mlp.c_proj.bias
        blocks.append(_sites(stream, attn_out, mlp_out, z=z, resid_mid=mid, mlp_in=mlp_in))
        stream = mid + mlp_out
    blocks[0]["embed"] = embed
    return blocks


def _neox(model: Any, token_ids: Tensor) -> list[Sites]:
    config, body = model.config, model.gpt_neox
    d_head = config.hidden_size // config.num_attention_heads
    n_rotated = int(d_head * config.rope_parameters["partial_rotary_factor"])
    theta = config.rope_parameters["rope_theta"]
    stream = body.embed_in.weight[token_ids]
    embed, blocks = stream, []
    for block in body.layers:
        joint = _heads(block.attention.query_key_value(block.input_layernorm(stream)), 3 * d_head)
        q, k, v = joint.chunk(3, dim=-1)
        z = attend(rotate(q, theta, n_rotated), rotate(k, theta, n_rotated), v, d_head**-0.5)
        attn_out = z @ block.attention.dense.weight.T + block.attention.dense.bias
        mlp_in = block.post_attention_layernorm(stream)  # the parallel block: both sublayers read the same stream
        hidden = torch.nn.functional.gelu(mlp_in @ block.mlp.dense_h_to_4h.weight.T + block.mlp.dense_h_to_4h.bias)
        mlp_out = hidden @ block.mlp.dense_4h_to_h.weight.T + block.mlp.dense_4h_to_h.bias
        blocks.append(_sites(stream, attn_out, mlp_out, z=z, mlp_in=mlp_in))
        stream = stream + attn_out + mlp_out
    blocks[0]["embed"] = embed
    return blocks


def _llama_like(model: Any, token_ids: Tensor, *, is_gemma: bool) -> list[Sites]:
    config, body = model.config, model.model
    stream = body.embed_tokens.weight[token_ids] * (config.hidden_size**0.5 if is_gemma else 1.0)
    embed, blocks = stream, []
    for layer, block in enumerate(body.layers):
        z = _grouped_attention(config, block.self_attn, block.input_layernorm(stream), layer, is_gemma=is_gemma)
        attn_out = z @ block.self_attn.o_proj.weight.T
        if is_gemma:
            attn_out = block.post_attention_layernorm(attn_out)
        mid = stream + attn_out
        mlp_in = (block.pre_feedforward_layernorm if is_gemma else block.post_attention_layernorm)(mid)
        gate = mlp_in @ block.mlp.gate_proj.weight.T
        gate = torch.nn.functional.gelu(gate, approximate="tanh") if is_gemma else torch.nn.functional.silu(gate)
        mlp_out = (gate * (mlp_in @ block.mlp.up_proj.weight.T)) @ block.mlp.down_proj.weight.T
        if is_gemma:
            mlp_out = block.post_feedforward_layernorm(mlp_out)
        blocks.append(_sites(stream, attn_out, mlp_out, z=z, resid_mid=mid, mlp_in=mlp_in))
        stream = mid + mlp_out
    blocks[0]["embed"] = embed
    return blocks


def _grouped_attention(config: Any, attention: Any, x: Tensor, layer: int, *, is_gemma: bool) -> Tensor:
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    n_shared = config.num_attention_heads // config.num_key_value_heads
    theta = config.rope_parameters["rope_theta"]
    q, k, v = (_heads(projection(x), d_head) for projection in (attention.q_proj, attention.k_proj, attention.v_proj))
    q, k = rotate(q, theta, d_head), rotate(k, theta, d_head)
    k, v = k.repeat_interleave(n_shared, dim=1), v.repeat_interleave(n_shared, dim=1)
    if not is_gemma:
        return attend(q, k, v, d_head**-0.5)
    window = config.sliding_window if config.layer_types[layer] == "sliding_attention" else 0
    return attend(q, k, v, config.query_pre_attn_scalar**-0.5, softcap=config.attn_logit_softcapping, window=window)


def _sites(stream: Tensor, attn_out: Tensor, mlp_out: Tensor, **others: Tensor) -> Sites:
    after = stream + attn_out + mlp_out
    return {"resid_pre": stream, "resid_post": after, "attn_out": attn_out, "mlp_out": mlp_out, **others}
