"""Decides, once for the whole product, when a feature fires: its activation is above the threshold at a token slot.

Torch comes in, NumPy goes out: dense activations live for one tile only, and everything later costs O(events). On the
CPU every thread takes whole tiles, each with a matrix product of its own: the tile stays in that core's cache until its
firings are found, and the numbers do not depend on how many threads there are.
"""

import threading
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featlas.engine.kernels import choose_largest, find_firing, turn_over
from featlas.engine.sae import SaeParams, tiles
from featlas.engine.threads import map_in_threads

FEATURE_TILE = 512  # rows of a feature-major tile
TOKEN_TILE = 256  # tokens per tile where the SAE chooses over all features
MOST_ROWS = 4096  # tokens that are encoded together
_ROOM = 32  # one activation in so many fits before a tile's firings have to be found again with more room


@dataclass(frozen=True)
class Events:
    """Firings by feature, then row: feature f has rows and values `[indptr[f]:indptr[f + 1]]`.

    `row` counts the rows of the batch; `value` is the activation.
    """

    indptr: NDArray[np.int64]  # [n_features + 1]
    row: NDArray[np.int32]  # [n_events]
    value: NDArray[np.float32]  # [n_events]

    def feature(self) -> NDArray[np.int64]:
        """The feature of each event. Shape [n_events]."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def of_rows(self, chosen: NDArray[np.bool_]) -> "Events":
        """The events of some rows, which are numbered anew. chosen: [n_rows]."""
        is_chosen = chosen[self.row]
        n_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_chosen)])
        number = (np.cumsum(chosen) - 1).astype(np.int32)
        return Events(n_before[self.indptr].astype(np.int64), number[self.row[is_chosen]], self.value[is_chosen])

    def by_row(self, n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Row by row: where each row's events begin [n_rows + 1], features, ascending within a row, and values."""
        return turned_over(self.indptr, self.row, self.value, n_rows)


Part = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
"""Firings of some features: how many each has, then row and value of all, feature by feature."""


def find_events(sae: SaeParams, acts: Tensor, threshold: float) -> Events:
    """All events of an SAE on a batch of activations.

    Args:
        sae: on the same device as `acts`.
        acts: model activations at the hook point, shape [n_rows, d_in].
        threshold: in the SAE's units; 0 means every activation that is not 0.
    """
    parts = [_find_events(sae, acts[first:last], threshold) for first, last in tiles(len(acts), MOST_ROWS)]
    if len(parts) == 1:
        return parts[0]
    indptr = np.zeros(sae.d_sae + 1, np.int64)
    for part in parts:
        indptr += part.indptr
    row, value = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    next_place = indptr[:-1].copy()
    for number, part in enumerate(parts):
        to = np.repeat(next_place - part.indptr[:-1], np.diff(part.indptr)) + np.arange(len(part.row))
        row[to], value[to] = part.row + number * MOST_ROWS, part.value
        next_place += np.diff(part.indptr)
    return Events(indptr, row, value)


def _find_events(sae: SaeParams, acts: Tensor, threshold: float) -> Events:
    centered = sae.center(acts)
    if acts.device.type != "cpu":
        return _on_device(sae, centered, threshold)
    if sae.chooses_over_features:
        return _of_tokens(sae, centered, threshold)
    found = map_in_threads(partial(_fire, sae, centered, firing_rules(sae, threshold)), tiles(sae.d_sae, FEATURE_TILE))
    n_fires, row, value = (np.concatenate(column) for column in zip(*found, strict=True))
    return Events(_starts(n_fires), row, value)


def firing_rules(sae: SaeParams, threshold: float) -> NDArray[np.float32]:
    """When each feature fires, but for topk SAEs: the `rules` of `kernels.find_firing`. Shape [4, d_sae].

    An activation is never negative, and one of 0 is none.
    """
    scale, bias, gate = torch.ones(sae.d_sae), sae.b_enc, torch.full((sae.d_sae,), -torch.inf)
    floor = torch.full((sae.d_sae,), max(threshold, 0.0))
    if sae.threshold is not None:
        floor = torch.maximum(floor, sae.threshold)
    if sae.gate is not None:
        scale, bias, gate = sae.gate.r_mag.exp(), sae.gate.b_mag, -sae.gate.b_gate
    return torch.stack([scale, bias, floor, gate]).numpy()


def _fire(sae: SaeParams, centered: Tensor, rules: NDArray[np.float32], tile: tuple[int, int]) -> Part:
    """The firings of the features of a tile."""
    features = slice(*tile)
    products = _buffer(tile[1] - tile[0], len(centered))
    torch.mm(sae.W_enc[:, features].T, centered.T, out=products)
    n_fires = np.empty(tile[1] - tile[0], np.int64)
    room = products.numel() // _ROOM + 64
    while True:
        row, value = np.empty(room, np.int32), np.empty(room, np.float32)
        n = find_firing(products.numpy(), rules[:, features], row, value, n_fires)
        if n <= room:
            return n_fires, row[:n].copy(), value[:n].copy()
        room = n


def _of_tokens(sae: SaeParams, centered: Tensor, threshold: float) -> Events:
    """The firings of an SAE that chooses among all features of a token."""
    scale = sae.dec_norms if sae.rank_by_dec_norm and sae.dec_norms is not None else torch.ones(sae.d_sae)
    rules = torch.stack([scale, sae.b_enc]).numpy()
    choose = partial(_choose, sae, centered, rules, np.float32(max(threshold, 0.0)))
    found = [*map_in_threads(choose, tiles(len(centered), TOKEN_TILE))]
    if not found:
        return Events(np.zeros(sae.d_sae + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    n_fires, feature, value = (np.concatenate(column) for column in zip(*found, strict=True))
    return Events(*turned_over(_starts(n_fires), feature, value, sae.d_sae))


def _choose(
    sae: SaeParams, centered: Tensor, rules: NDArray[np.float32], floor: np.float32, tile: tuple[int, int]
) -> Part:
    """The firings of the tokens of a tile, here token by token: how many each has, features and values."""
    assert sae.k is not None
    n = tile[1] - tile[0]
    products = _buffer(n, sae.d_sae)
    torch.mm(centered[slice(*tile)], sae.W_enc, out=products)
    feature, value = np.empty((n, sae.k), np.int32), np.empty((n, sae.k), np.float32)
    n_fires = np.empty(n, np.int64)
    choose_largest(products.numpy(), rules, sae.k, floor, feature, value, n_fires)
    fires = np.arange(sae.k) < n_fires[:, None]
    return n_fires, feature[fires], value[fires]


def _on_device(sae: SaeParams, centered: Tensor, threshold: float) -> Events:
    """The same on an accelerator, by torch's own operations; only events cross to the host."""
    parts = []
    if sae.chooses_over_features:
        for first, last in tiles(len(centered), TOKEN_TILE):
            values, features = sae.encode_topk(centered[first:last])
            rows = torch.arange(first, last, device=values.device)[:, None].expand_as(features)
            fires = values > threshold
            parts.append((rows[fires], features[fires], values[fires]))
    else:
        buffer = torch.empty(FEATURE_TILE, len(centered), device=centered.device)
        for first, last in tiles(sae.d_sae, FEATURE_TILE):
            tile = sae.encode_tile(centered, first, last, out=buffer[: last - first])
            found = (tile > threshold).nonzero()
            parts.append((found[:, 1], found[:, 0] + first, tile[found[:, 0], found[:, 1]]))
    row, feature, value = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    starts = _starts(np.bincount(row, minlength=len(centered)))
    return Events(*turned_over(starts, feature[order], value[order], sae.d_sae))


def turned_over(
    line_start: NDArray[np.int64], column: NDArray[np.integer], value: NDArray[np.float32], n_columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """A sparse matrix held line by line, column by column: where each column begins, the lines, the values."""
    starts = _starts(np.bincount(column, minlength=n_columns))
    line, turned = np.empty(len(column), np.int32), np.empty(len(column), np.float32)
    every = np.ones(len(line_start) - 1, dtype=bool)
    turn_over(line_start, every, column, value, starts[:-1].copy(), line, turned)
    return starts, line, turned


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


_OWN = threading.local()


def _buffer(n_rows: int, n_columns: int) -> Tensor:
    """Room for a product, this thread's own and used again and again."""
    n = n_rows * n_columns
    if getattr(_OWN, "buffer", None) is None or len(_OWN.buffer) < n:
        _OWN.buffer = torch.empty(n)
    return _OWN.buffer[:n].view(n_rows, n_columns)
