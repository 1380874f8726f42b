"""Small SAEs of every kind, with whole numbers (so that float32 is exact and ties happen) or random ones."""

from typing import Any

import torch
from torch import Tensor

from featlas.engine.sae import Activation, Gate, SaeParams

KINDS: dict[str, dict[str, Any]] = {
    "relu": {"activation": "relu"},
    "jumprelu": {"activation": "jumprelu"},
    "batchtopk": {"activation": "batchtopk"},
    "topk": {"activation": "topk"},
    "topk by decoder norm": {"activation": "topk", "rank_by_dec_norm": True},
    "gated": {"activation": "gated"},
}


def make_sae(
    kind: str, d_in: int = 6, d_sae: int = 20, *, seed: int = 0, whole: bool = False, **rules: Any
) -> SaeParams:
    """An SAE of one of KINDS; `rules` are fields of SaeParams, such as normalisation."""
    draw = _Draw(seed, whole)
    fields: dict[str, Any] = {
        "W_enc": draw(d_in, d_sae),
        "b_enc": draw(d_sae),
        "W_dec": draw(d_sae, d_in),
        "b_dec": draw(d_in),
    }
    activation: Activation = KINDS[kind]["activation"]
    if activation in ("jumprelu", "batchtopk"):
        fields["threshold"] = draw(d_sae).abs()
    if activation == "topk":
        fields["k"] = max(1, d_sae // 3)
    if activation == "gated":
        r_mag = torch.zeros(d_sae) if whole else draw(d_sae)
        fields["gate"] = Gate(draw(d_sae), draw(d_sae), r_mag)
    if KINDS[kind].get("rank_by_dec_norm"):
        if whole:  # a row along one axis has a whole norm
            fields["W_dec"] = torch.eye(d_in)[torch.arange(d_sae) % d_in] * draw(d_sae)[:, None]
        fields["dec_norms"] = fields["W_dec"].norm(dim=1)
    return SaeParams(**{**fields, **KINDS[kind], **rules})


def make_acts(n: int, d_in: int = 6, *, seed: int = 1, whole: bool = False) -> Tensor:
    """Activations for such an SAE to read, [n, d_in]."""
    return _Draw(seed, whole)(n, d_in)


class _Draw:
    def __init__(self, seed: int, whole: bool) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._whole = whole

    def __call__(self, *shape: int) -> Tensor:
        if self._whole:
            return torch.randint(-2, 3, shape, generator=self._generator).to(torch.float32)
        return torch.randn(shape, generator=self._generator)
