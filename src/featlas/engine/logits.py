"""The logit lens: which tokens a direction in the residual stream promotes and suppresses, from the weights alone."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featlas.domain import HookPoint, Site
from featlas.engine.directions import UnitDirections
from featlas.engine.hook_sites import find_blocks
from featlas.engine.rankings import find_largest, rows_per_tile
from featlas.engine.sae import tiles
from featlas.errors import InputError

_PROBE_SIZE = 1000.0  # so large that a norm's epsilon does not count
_IN_STREAM = (Site.EMBED, Site.RESID_PRE, Site.RESID_MID, Site.RESID_POST, Site.ATTN_OUT, Site.MLP_OUT)
"""Sites that are the residual stream, or are added to it as they are."""


def why_no_logits(hook_point: HookPoint, d_out: int, d_model: int) -> str | None:
    """Why the directions written at a hook point cannot be read off against the vocabulary; None where they can."""
    if hook_point.site not in _IN_STREAM:
        return f"{hook_point} is not a place in the residual stream, nor added to it as it is"
    if d_out != d_model:
        return f"the SAE writes vectors of {d_out}, but the residual stream has {d_model}"
    return None


@dataclass(frozen=True)
class Readout:
    """What lies between the residual stream and the logits, as far as it is linear.

    gain: the final norm's, shape [d_model], float32.
    subtracts_mean: whether the final norm subtracts the mean over d_model, as LayerNorm does.
    W_U: the unembedding, shape [n_vocab, d_model], float32.
    """

    gain: Tensor
    subtracts_mean: bool
    W_U: Tensor

    def to_logits(self, directions: Tensor) -> Tensor:
        """W_U (gain ⊙ direction), after the mean is taken off where the norm does. [n, d_model] → [n, n_vocab]."""
        if self.subtracts_mean:
            directions = directions - directions.mean(dim=1, keepdim=True)
        return (directions * self.gain) @ self.W_U.T


@torch.no_grad()
def find_readout(model: Any, n_tokens: int | None = None) -> Readout:
    """The final norm's gain and the unembedding of a `transformers` model, found by structure and by trying the norm.

    The gain is what the norm itself makes of a vector, so that a norm that multiplies by 1 + weight needs no rule of
    its own. Biases, a constant factor on the logits and a cap on them are left out: they change no order of tokens.

    Args:
        model: a causal language model.
        n_tokens: how many tokens the tokenizer has; rows of the unembedding beyond are padding. None takes all.

    Raises:
        InputError: there is no final norm or no unembedding of the stream's width, or the norm is of an unknown kind.
    """
    head = model.get_output_embeddings()
    width = model.config.get_text_config().hidden_size
    if head is None or head.weight.shape[1] != width:
        found = "none" if head is None else f"one of width {head.weight.shape[1]}"
        raise InputError(
            f"{type(model).__name__}: expected an unembedding of the stream's width {width}, found {found}"
        )
    norm = _find_final_norm(model, width)
    gain, subtracts_mean = _try_norm(copy.deepcopy(norm).to("cpu", torch.float32), width)
    return Readout(gain.to(head.weight.device), subtracts_mean, head.weight.detach()[:n_tokens].to(torch.float32))


def _find_final_norm(model: Any, width: int) -> nn.Module:
    """The norm that stands beside the list of blocks; where several do, the last."""
    blocks = find_blocks(model)
    beside = next(module for module in model.modules() if any(child is blocks for child in module.children()))
    found = [child for child in beside.children() if child is not blocks and _may_be_norm(child, width)]
    if not found:
        raise InputError(f"{type(model).__name__}: no final norm was found beside the blocks")
    return found[-1]


def _may_be_norm(module: nn.Module, width: int) -> bool:
    parameters = list(module.parameters())
    has_gain = bool(parameters) and all(parameter.shape == (width,) for parameter in parameters)
    return has_gain or (not parameters and "norm" in type(module).__name__.lower())


def _try_norm(norm: nn.Module, width: int) -> tuple[Tensor, bool]:
    """A norm's gain [width] and whether it subtracts the mean, read from its answers; InputError where it does more."""

    def answer(x: Tensor) -> Tensor:
        return (norm(x[None])[0] - norm(-x[None])[0]) / 2  # without the bias

    probe = _PROBE_SIZE * _balanced(width)
    gain = answer(probe) * probe.square().mean().sqrt() / probe
    flat = answer(torch.full((width,), _PROBE_SIZE))
    subtracts_mean = bool(flat.abs().max() <= 0.01 * gain.abs().max())
    other = _PROBE_SIZE * torch.randn(width, generator=torch.Generator().manual_seed(0))
    centred = other - other.mean() if subtracts_mean else other
    expected = gain * centred / centred.square().mean().sqrt()
    if not torch.allclose(expected, answer(other), rtol=1e-3, atol=1e-4 * float(gain.abs().max())):
        raise InputError(f"the final norm {type(norm).__name__} does more than to norm and to multiply by a gain")
    return gain, subtracts_mean


def _balanced(width: int) -> Tensor:
    """A vector without zeros whose mean is zero."""
    vector = torch.ones(width)
    vector[1::2] = -1
    if width % 2:
        vector[-3:] = torch.tensor([1.0, 1.0, -2.0])
    return vector


@dataclass(frozen=True)
class TokenEffects:
    """The tokens of some features, first … first + n − 1: ids and effects on the logits, each [n, k].

    Promoted ones come largest first, suppressed ones smallest first.
    """

    first: int
    promoted: NDArray[np.int64]
    promoted_effect: NDArray[np.float32]
    suppressed: NDArray[np.int64]
    suppressed_effect: NDArray[np.float32]


@torch.no_grad()
def read_token_effects(readout: Readout, directions: UnitDirections, n_tokens: int) -> Iterator[TokenEffects]:
    """The `n_tokens` tokens that each direction promotes and suppresses most, ties by token id, tile by tile.

    What is given for a feature without a direction means nothing.
    """
    n_vocab = len(readout.W_U)
    k = min(n_tokens, n_vocab)
    for first, last in tiles(len(directions), rows_per_tile(n_vocab)):
        logits = readout.to_logits(directions.vectors[first:last])
        # Where all effects are the same, every token ties, and to rank them one by one would take long.
        logits[torch.from_numpy(directions.is_zero[first:last]).to(logits.device)] = torch.arange(
            n_vocab, dtype=torch.float32, device=logits.device
        )
        promoted_effect, promoted = find_largest(logits, k)
        suppressed_effect, suppressed = find_largest(logits.neg_(), k)
        found = (promoted, promoted_effect, suppressed, -suppressed_effect)
        yield TokenEffects(first, *(tensor.cpu().numpy() for tensor in found))
