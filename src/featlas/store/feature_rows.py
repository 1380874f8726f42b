"""A batch of described features as rows of the tables; pure, so that no lock is held while they are packed."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.domain import ExampleBand, FeatureBatch, TokenRows
from featlas.errors import InputError
from featlas.store.blobs import pack_examples, pack_groups, pack_sparse

FEATURE_COLUMNS = (
    "snapshot_id",
    "feature_index",
    "n_fires",
    "n_contexts_fired",
    "n_documents_fired",
    "sum",
    "sum_sq",
    "max",
    "n_fires_excluded",
    "max_excluded",
    "flags",
    "duplicate_of",
    "groups",
    "histogram",
    "peak_histogram",
    "position_profile",
    "intervals",
    "top_tokens",
)
ACTIVATION_COLUMNS = ("snapshot_id", "feature_index", "band", "n_in_band", "data")
TOKEN_COLUMNS = ("snapshot_id", "feature_index", "token_id", "n_fires", "n_fires_score_split", "sum", "max")

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class PackedFeatures:
    """Rows of features, feature_activations and feature_tokens, ready to insert."""

    features: Rows
    activations: Rows
    tokens: Rows


class FeaturePacker:
    """Turns ranges of one batch into rows of one snapshot.

    `readable` gives a token's text, `n_occurrences` [n_vocab] how often it stands at counted positions of the corpus.
    """

    def __init__(
        self, snapshot_id: int, batch: FeatureBatch, readable: Callable[[int], str], n_occurrences: NDArray[np.int64]
    ) -> None:
        self._snapshot_id = snapshot_id
        self._batch = batch
        self._readable = readable
        self._n_occurrences = n_occurrences
        bounds = batch.first_feature + np.arange(len(batch) + 1)
        self._examples = sorted(batch.examples, key=lambda band: band.feature_index)
        self._example_bounds = np.searchsorted([band.feature_index for band in self._examples], bounds)
        self._token_bounds = np.searchsorted(batch.top_tokens.feature_index, bounds)
        _require_inside("examples", self._example_bounds, len(self._examples))
        _require_inside("top tokens", self._token_bounds, len(batch.top_tokens.token_id))

    def pack(self, chunk: range) -> PackedFeatures:
        """The rows of the features at these places of the batch."""
        tokens = self._token_bounds
        bands = self._examples[self._example_bounds[chunk.start] : self._example_bounds[chunk.stop]]
        return PackedFeatures(
            features=[self._feature(at) for at in chunk],
            activations=[self._activation(band) for band in bands],
            tokens=self._token_rows(slice(tokens[chunk.start], tokens[chunk.stop])),
        )

    def _feature(self, at: int) -> tuple[Any, ...]:
        batch = self._batch
        return (
            self._snapshot_id,
            batch.first_feature + at,
            int(batch.n_fires[at]),
            int(batch.n_contexts_fired[at]),
            int(batch.n_documents_fired[at]),
            float(batch.sum[at]),
            float(batch.sum_sq[at]),
            _or_none(batch.max[at]),
            int(batch.n_fires_excluded[at]),
            _or_none(batch.max_excluded[at]),
            int(batch.flags[at]),
            int(batch.duplicate_of[at]) if batch.duplicate_of[at] >= 0 else None,
            pack_groups(batch.group_n_fires[at], batch.group_sum[at]),
            pack_sparse(batch.histogram[at]),
            pack_sparse(batch.peak_histogram[at]),
            pack_sparse(batch.position_profile[at]),
            _dump({name: _ends_or_none(ends[at]) for name, ends in batch.intervals.items()}),
            _dump(self._top_tokens(slice(self._token_bounds[at], self._token_bounds[at + 1]))),
        )

    def _activation(self, band: ExampleBand) -> tuple[Any, ...]:
        return self._snapshot_id, band.feature_index, band.band, band.n_in_band, pack_examples(band)

    def _token_rows(self, part: slice) -> Rows:
        rows = self._batch.top_tokens
        columns = (rows.feature_index, rows.token_id, rows.n_fires, rows.n_fires_score_split, rows.sum, rows.max)
        plain = [column[part].tolist() for column in columns]
        return [(self._snapshot_id, *row) for row in zip(*plain, strict=True)]

    def _top_tokens(self, part: slice) -> dict[str, list[Any]]:
        """One feature's tokens as columns, most firings first, ties by token id."""
        rows: TokenRows = self._batch.top_tokens
        order = np.lexsort((rows.token_id[part], -rows.n_fires[part]))
        token_id, n_fires = rows.token_id[part][order], rows.n_fires[part][order]
        return {
            "token_id": token_id.tolist(),
            "token": [self._readable(token) for token in token_id.tolist()],
            "n_fires": n_fires.tolist(),
            "n_occurrences": self._n_occurrences[token_id].tolist(),
            "mean_activation": (rows.sum[part][order] / n_fires).tolist(),
            "max_activation": rows.max[part][order].tolist(),
        }


def _require_inside(what: str, bounds: NDArray[np.int64], n: int) -> None:
    if int(bounds[0]) != 0 or int(bounds[-1]) != n:
        raise InputError(f"a batch holds {what} of features outside of it; expected only its own")


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _or_none(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _ends_or_none(ends: NDArray[np.float64]) -> list[float] | None:
    low, high = (float(end) for end in ends)
    return [low, high] if math.isfinite(low) and math.isfinite(high) else None
