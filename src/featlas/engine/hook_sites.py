"""Where a hook point lies in a `transformers` model, found by the structure of its modules rather than by its name."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from featlas.domain import HookPoint, Site
from featlas.errors import InputError


@dataclass(frozen=True)
class ModuleHook:
    """A module and which side of it holds the activations."""

    module: nn.Module
    reads_input: bool


def find_blocks(model: Any) -> nn.ModuleList:
    """The list of transformer blocks: the only ModuleList with as many items as the config has layers."""
    config = model.config.get_text_config()
    n_layers = config.num_hidden_layers
    found = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers]
    blocks = [m for m in found if _child(m[0], "self_attn", "attn", "attention") is not None]
    if len(blocks) != 1:
        raise InputError(
            f"model {type(model).__name__} has an unknown architecture: expected one list of {n_layers} blocks with an "
            f"attention module each, found {len(blocks)}; Featlas reads decoder-only transformers"
        )
    return blocks[0]


def find_module(model: Any, hook_point: HookPoint) -> ModuleHook:
    """The module whose input or output is the hook point; InputError names what is missing."""
    if hook_point.site is Site.EMBED:
        return ModuleHook(model.get_input_embeddings(), reads_input=False)
    blocks = find_blocks(model)
    if not 0 <= hook_point.layer < len(blocks):
        raise InputError(
            f"hook point {hook_point}: there is no layer {hook_point.layer}; the model has layers 0 … {len(blocks) - 1}"
        )
    block = blocks[hook_point.layer]
    if hook_point.site is Site.RESID_PRE:
        return ModuleHook(block, reads_input=True)
    if hook_point.site is Site.RESID_POST:
        return ModuleHook(block, reads_input=False)
    return _inside_block(block, hook_point)


def _inside_block(block: nn.Module, hook_point: HookPoint) -> ModuleHook:
    attention, mlp = _child(block, "self_attn", "attn", "attention"), _child(block, "mlp")
    is_parallel = getattr(block, "use_parallel_residual", False)
    if _child(block, "post_feedforward_layernorm"):  # each sublayer's output is normed before it is added
        reads_middle = _child(block, "pre_feedforward_layernorm") or mlp  # Gemma 2 and 3, or OLMo 2
        attn_out, mlp_out = _child(block, "post_attention_layernorm"), _child(block, "post_feedforward_layernorm")
    else:
        reads_middle = None if is_parallel else _child(block, "post_attention_layernorm", "ln_2")
        attn_out = _child(block, "post_self_attn_layernorm") or attention  # GLM 4 has such norms under other names
        mlp_out = _child(block, "post_mlp_layernorm") or mlp
    places: dict[Site, tuple[nn.Module | None, bool]] = {
        Site.RESID_MID: (reads_middle, True),
        Site.MLP_IN: (mlp, True),
        Site.ATTN_OUT: (attn_out, False),
        Site.MLP_OUT: (mlp_out, False),
        Site.Z: (_child(attention, "o_proj", "c_proj", "dense") if attention is not None else None, True),
    }
    module, reads_input = places[hook_point.site]
    if module is None:
        raise InputError(
            f"hook point {hook_point}: a block of this model ({type(block).__name__}) has no such place; "
            f"try blocks.{hook_point.layer}.hook_resid_post"
        )
    return ModuleHook(module, reads_input)


def _child(module: nn.Module, *names: str) -> nn.Module | None:
    return next((getattr(module, name) for name in names if isinstance(getattr(module, name, None), nn.Module)), None)
