"""What an SAE computes, one token and one feature at a time, in float64: the field's formulas, written out."""

import math

import numpy as np
from numpy.typing import NDArray

from featlas.engine.sae import SaeParams

Vector = NDArray[np.float64]


def encode(sae: SaeParams, x: NDArray) -> Vector:
    """Activations of each token. x: [n, d_in] → [n, d_sae]."""
    return np.array([_encode_token(sae, np.asarray(token, np.float64)) for token in x]).reshape(len(x), sae.d_sae)


def reconstruct(sae: SaeParams, x: NDArray) -> Vector:
    """What the SAE makes of each token, in the token's own space. x: [n, d_in] → [n, d_out]."""
    acts = encode(sae, x)
    rows = [_reconstruct_token(sae, a, np.asarray(token, np.float64)) for a, token in zip(acts, x, strict=True)]
    return np.array(rows).reshape(len(x), sae.d_out)


def _encode_token(sae: SaeParams, x: Vector) -> Vector:
    x = normalise(sae, x)
    if sae.subtract_b_dec:
        x = x - _array(sae.b_dec)
    directions = _array(sae.W_enc).T
    if sae.activation == "gated":
        return np.array([_gated(sae, feature, float(direction @ x)) for feature, direction in enumerate(directions)])
    pre = np.array([float(direction @ x) for direction in directions]) + _array(sae.b_enc)
    if sae.activation == "topk":
        return _topk(sae, pre)
    if sae.activation == "relu":
        return np.array([max(h, 0.0) for h in pre])
    return np.array([max(h, 0.0) if h > theta else 0.0 for h, theta in zip(pre, _array(sae.threshold), strict=True)])


def _gated(sae: SaeParams, feature: int, shared: float) -> float:
    assert sae.gate is not None
    b_gate, b_mag, r_mag = (float(t[feature]) for t in (sae.gate.b_gate, sae.gate.b_mag, sae.gate.r_mag))
    return max(math.exp(r_mag) * shared + b_mag, 0.0) if shared + b_gate > 0 else 0.0


def _topk(sae: SaeParams, pre: Vector) -> Vector:
    assert sae.k is not None
    ranked = pre * _array(sae.dec_norms) if sae.rank_by_dec_norm else pre
    acts = np.zeros(len(pre))
    for feature in sorted(range(len(pre)), key=lambda f: -ranked[f])[: sae.k]:
        acts[feature] = max(ranked[feature], 0.0)
    return acts


def _reconstruct_token(sae: SaeParams, acts: Vector, x: Vector) -> Vector:
    total = _array(sae.b_dec).copy()
    for feature, act in enumerate(acts):
        row = _array(sae.W_dec)[feature]
        weight = act / _array(sae.dec_norms)[feature] if sae.rank_by_dec_norm and act else act
        total += weight * row
    return denormalise(sae, total, x)


def normalise(sae: SaeParams, x: Vector) -> Vector:
    if sae.normalisation == "constant_norm_rescale":
        return x * math.sqrt(len(x)) / math.sqrt(float(x @ x))
    if sae.normalisation == "layer_norm":
        return (x - x.mean()) / (x.std(ddof=1) + 1e-5)
    return x


def denormalise(sae: SaeParams, y: Vector, x: Vector) -> Vector:
    if sae.normalisation == "constant_norm_rescale":
        return y * math.sqrt(float(x @ x)) / math.sqrt(len(x))
    if sae.normalisation == "layer_norm":
        return y * (x.std(ddof=1) + 1e-5) + x.mean()
    return y


def _array(tensor: object) -> Vector:
    return np.asarray(tensor, dtype=np.float64)
