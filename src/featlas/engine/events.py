"""Decides, once for the whole product, when a feature fires: |activation| > threshold at a token slot.

Torch comes in, NumPy goes out: dense activations live for one tile only, and everything later costs O(events).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featlas.engine.sae import SaeParams, tiles

FEATURE_TILE = 512  # rows of a feature-major tile: small enough for the cache at 4,096 tokens
TOKEN_TILE = 512  # tokens per tile where the SAE chooses over all features


@dataclass(frozen=True)
class Events:
    """Firings in no promised order: feature, row of the batch, value; all of shape [n_events]."""

    feature: NDArray[np.int64]
    row: NDArray[np.int64]
    value: NDArray[np.float32]

    def shifted(self, first_feature: int) -> "Events":
        """The same events with feature numbers that start at `first_feature`."""
        return Events(self.feature + first_feature, self.row, self.value)


def find_events(sae: SaeParams, acts: Tensor, threshold: float) -> Events:
    """All events of an SAE on a batch of activations.

    Args:
        sae: on the same device as `acts`.
        acts: model activations at the hook point, shape [n_rows, d_in].
        threshold: in the SAE's units; 0 means every non-zero activation.
    """
    centered = sae.center(acts)
    parts = (
        _topk_parts(sae, centered, threshold) if sae.chooses_over_features else _tile_parts(sae, centered, threshold)
    )
    if not parts:
        return Events(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    feature, row, value = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return Events(feature, row, value)


def _tile_parts(sae: SaeParams, centered: Tensor, threshold: float) -> list[tuple[Tensor, Tensor, Tensor]]:
    buffer = torch.empty(FEATURE_TILE, len(centered), device=centered.device)
    parts = []
    for first, last in tiles(sae.d_sae, FEATURE_TILE):
        tile = sae.encode_tile(centered, first, last, out=buffer[: last - first])
        found = (tile.abs() > threshold).nonzero()
        parts.append((found[:, 0] + first, found[:, 1], tile[found[:, 0], found[:, 1]]))
    return parts


def _topk_parts(sae: SaeParams, centered: Tensor, threshold: float) -> list[tuple[Tensor, Tensor, Tensor]]:
    parts = []
    for first, last in tiles(len(centered), TOKEN_TILE):
        values, features = sae.encode_topk(centered[first:last])
        rows = torch.arange(first, last, device=values.device)[:, None].expand_as(features)
        fires = values.abs() > threshold
        parts.append((features[fires], rows[fires], values[fires]))
    return parts
