"""The one canonical form of a sparse autoencoder and what it computes; every file format is turned into this."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from featlas.errors import InputError

Activation = Literal["relu", "jumprelu", "topk", "batchtopk", "gated"]
Normalisation = Literal["none", "constant_norm_rescale", "layer_norm"]


@dataclass(frozen=True)
class Gate:
    """The extra parameters of a gated SAE, each of shape [d_sae]."""

    b_gate: Tensor
    b_mag: Tensor
    r_mag: Tensor


@dataclass(frozen=True)
class SaeParams:
    """A sparse autoencoder in canonical form, float32 unless it was moved.

    Column j of `W_enc` is the encoder direction of feature j, row j of `W_dec` its decoder direction. `threshold` is
    for jumprelu and batchtopk (which at inference is jumprelu with the threshold found in training, so that a token's
    features never depend on its neighbours in the batch); `k` for topk.

    With `rank_by_dec_norm` a topk SAE chooses by, and reports, pre-activation × decoder norm.
    """

    W_enc: Tensor  # [d_in, d_sae]
    b_enc: Tensor  # [d_sae]
    W_dec: Tensor  # [d_sae, d_out]
    b_dec: Tensor  # [d_out]
    activation: Activation
    threshold: Tensor | None = None  # [d_sae]
    k: int | None = None
    gate: Gate | None = None
    subtract_b_dec: bool = True
    normalisation: Normalisation = "none"
    rank_by_dec_norm: bool = False
    dec_norms: Tensor | None = field(default=None, repr=False)  # [d_sae], of the rows, when rank_by_dec_norm

    def __post_init__(self) -> None:
        check_shapes(self)

    @property
    def d_in(self) -> int:
        """Width of the input."""
        return self.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.W_enc.shape[1]

    @property
    def d_out(self) -> int:
        """Width of the reconstruction."""
        return self.W_dec.shape[1]

    @property
    def chooses_over_features(self) -> bool:
        """Whether a feature's activation depends on the other features of the same token."""
        return self.activation == "topk"

    def to(self, device: torch.device) -> "SaeParams":
        """The same SAE on another device."""
        gate = self.gate and Gate(*(t.to(device) for t in (self.gate.b_gate, self.gate.b_mag, self.gate.r_mag)))
        moved = {name: None if tensor is None else tensor.to(device) for name, tensor in self._tensors().items()}
        return replace(self, gate=gate, **moved)

    def fingerprint(self) -> str:
        """sha256 of the canonical weights and the rules of encoding."""
        rules = (self.activation, self.k, self.subtract_b_dec, self.normalisation, self.rank_by_dec_norm)
        digest = hashlib.sha256(repr(rules).encode())
        gate = {} if self.gate is None else vars(self.gate)
        for name, tensor in {**self._tensors(), **gate}.items():
            if tensor is not None:
                digest.update(name.encode())
                digest.update(tensor.detach().to(torch.float32).contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()

    def _tensors(self) -> dict[str, Tensor | None]:
        names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold", "dec_norms")
        return {name: getattr(self, name) for name in names}

    def normalise(self, x: Tensor) -> Tensor:
        """The SAE's own input normalisation. x: [n, d_in] → [n, d_in]."""
        if self.normalisation == "constant_norm_rescale":
            return x * (self.d_in**0.5 / x.norm(dim=-1, keepdim=True))
        if self.normalisation == "layer_norm":
            x = x - x.mean(dim=-1, keepdim=True)
            return x / (x.std(dim=-1, keepdim=True) + 1e-5)  # unbiased std, as the format defines it
        return x

    def center(self, x: Tensor) -> Tensor:
        """Normalised input less b_dec where the SAE subtracts it. x: [n, d_in] → [n, d_in]."""
        x = self.normalise(x)
        return x - self.b_dec if self.subtract_b_dec else x

    def encode_tile(self, centered: Tensor, first: int, last: int, out: Tensor | None = None) -> Tensor:
        """Activations of the features first … last − 1, feature-major (not for topk, which chooses over all features).

        Args:
            centered: output of `center`, shape [n, d_in].
            first: first feature of the tile.
            last: one past the last feature of the tile.
            out: buffer of shape [last − first, n] to write into.

        Returns:
            Activations, shape [last − first, n].
        """
        tile = slice(first, last)
        if self.activation == "gated":
            assert self.gate is not None
            shared = self.W_enc[:, tile].T @ centered.T
            is_open = shared + self.gate.b_gate[tile, None] > 0
            magnitude = shared * self.gate.r_mag[tile, None].exp() + self.gate.b_mag[tile, None]
            return magnitude.relu_() * is_open
        pre = torch.addmm(self.b_enc[tile, None], self.W_enc[:, tile].T, centered.T, out=out)
        if self.activation in ("jumprelu", "batchtopk"):
            assert self.threshold is not None
            pre.mul_(pre > self.threshold[tile, None])
        return pre.relu_()

    def encode_topk(self, centered: Tensor) -> tuple[Tensor, Tensor]:
        """The k largest activations of each token. centered: [n, d_in] → values [n, k] (≥ 0), features [n, k]."""
        assert self.k is not None
        pre = torch.addmm(self.b_enc, centered, self.W_enc)
        if self.rank_by_dec_norm:
            assert self.dec_norms is not None
            pre.mul_(self.dec_norms)
        values, features = pre.topk(self.k, dim=-1, sorted=False)
        return values.relu_(), features

    def encode(self, x: Tensor) -> Tensor:
        """Dense activations; for checks and small inputs. x: [n, d_in] → [n, d_sae]."""
        centered = self.center(x)
        if self.chooses_over_features:
            values, features = self.encode_topk(centered)
            return torch.zeros(len(x), self.d_sae, device=x.device).scatter_(1, features, values)
        return self.encode_tile(centered, 0, self.d_sae).T

    def decode(self, feature_acts: Tensor) -> Tensor:
        """Reconstruction in the SAE's normalised space. feature_acts: [n, d_sae] → [n, d_out]."""
        if self.rank_by_dec_norm:
            assert self.dec_norms is not None
            feature_acts = feature_acts / self.dec_norms.clamp(min=torch.finfo(torch.float32).tiny)  # 0 / 0 is 0 here
        return feature_acts @ self.W_dec + self.b_dec

    def denormalise(self, reconstruction: Tensor, x: Tensor) -> Tensor:
        """Undo `normalise` on a reconstruction of x. Both [n, d] → [n, d]."""
        if self.normalisation == "constant_norm_rescale":
            return reconstruction * (x.norm(dim=-1, keepdim=True) / self.d_in**0.5)
        if self.normalisation == "layer_norm":
            mean = x.mean(dim=-1, keepdim=True)
            return reconstruction * (x.std(dim=-1, keepdim=True) + 1e-5) + mean
        return reconstruction

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the SAE makes of x, in x's own space. x: [n, d_in] → [n, d_out]."""
        return self.denormalise(self.decode(self.encode(x)), x)


def tiles(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Consecutive (first, last) ranges that cover 0 … n."""
    for first in range(0, n, size):
        yield first, min(first + size, n)


def check_shapes(sae: SaeParams) -> None:
    """Refuse shapes that do not fit each other, values that are not numbers and parameters that are not there.

    Raises:
        InputError: names the tensor, its shape and the one that was expected.
    """
    if sae.W_enc.ndim != 2 or sae.W_dec.ndim != 2:
        found = f"{tuple(sae.W_enc.shape)} and {tuple(sae.W_dec.shape)}"
        raise InputError(f"W_enc and W_dec have the shapes {found}, expected [d_in, d_sae] and [d_sae, d_out]")
    _require_parameters(sae)
    d_sae, d_out = sae.d_sae, sae.d_out
    expected = {"W_enc": (sae.d_in, d_sae), "W_dec": (d_sae, d_out), "b_dec": (d_out,)}
    gate = {} if sae.gate is None else vars(sae.gate)
    for name, tensor in {**sae._tensors(), **gate}.items():
        if tensor is None:
            continue
        shape = expected.get(name, (d_sae,))
        if tuple(tensor.shape) != shape:
            beside = f"beside W_enc {tuple(sae.W_enc.shape)}"
            raise InputError(f"SAE tensor {name} has shape {tuple(tensor.shape)}, expected {shape} {beside}")
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"SAE tensor {name} holds NaN or infinity; the file is damaged or training diverged")
    if sae.threshold is not None and bool((sae.threshold < 0).any()):
        lowest = float(sae.threshold.min())
        raise InputError(f"the SAE has negative thresholds (down to {lowest:g}); expected thresholds of 0 or more")


def _require_parameters(sae: SaeParams) -> None:
    if sae.activation in ("jumprelu", "batchtopk") and sae.threshold is None:
        raise InputError(f"a {sae.activation} SAE needs a threshold and this one has none")
    if sae.activation == "topk" and not (sae.k and 0 < sae.k <= sae.d_sae):
        raise InputError(f"a topk SAE needs k between 1 and d_sae = {sae.d_sae}, got {sae.k}")
    if sae.activation == "gated" and sae.gate is None:
        raise InputError("a gated SAE needs b_gate, b_mag and r_mag and this one lacks them")
    if sae.rank_by_dec_norm and sae.dec_norms is None:
        raise InputError("an SAE that ranks by decoder norm needs dec_norms and this one lacks them")
