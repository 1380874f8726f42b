"""Slow twins of the compiled loops of the engine: whole matrices, one step after the other."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def firing(products: Floats, rules: Floats) -> Floats:
    """The activations of a feature-major tile where they fire, 0 elsewhere. [n_features, n_rows]."""
    scale, bias, floor, gate = rules[:, :, None]
    activation = products * scale + bias
    return np.where((activation > floor) & (products > gate), activation, np.float32(0))


def largest(products: Floats, rules: Floats, k: int, floor: float) -> Floats:
    """The k largest activations of each token where they are above the floor, 0 elsewhere. [n_rows, n_features]."""
    scale, bias = rules
    activation = (products + bias) * scale
    out = np.zeros_like(activation)
    for token, line in enumerate(activation):
        chosen = np.argsort(-line, kind="stable")[:k]
        out[token, chosen] = np.where(line[chosen] > floor, line[chosen], 0)
    return out


def dense_rows(n_fires: NDArray[np.int64], column: NDArray[np.integer], value: Floats, n_columns: int) -> Floats:
    """Firings that are held line by line, as a matrix [n_lines, n_columns]; no entry may come twice."""
    out = np.zeros((len(n_fires), n_columns), np.float32)
    line = np.repeat(np.arange(len(n_fires)), n_fires)
    assert len(np.unique(line * n_columns + column)) == len(column)
    out[line, column] = value
    return out
