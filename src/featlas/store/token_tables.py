"""The full token table of a run's artifact folder, read feature by feature with the two splits kept apart."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlas.domain import Split
from featlas.store.artifacts import list_tables, open_table
from featlas.store.tensor_files import TensorFile

TOKEN_TABLES = "tokens-"
"""What the names of the tables of (feature, token) rows begin with; each holds a range of features."""

OCCURRENCES = "occurrences"
"""The table of how often each token stands at counted positions, an array [n_vocab] per split, named by it."""


def read_occurrences(folder: Path, split: Split) -> NDArray[np.int64]:
    """How often each token stands at counted positions of a split, [n_vocab]; NotFoundError without the table."""
    return open_table(folder, OCCURRENCES).read(split.name.lower())


@dataclass(frozen=True)
class LabelTokens:
    """The tokens on which a feature fires on the label split: ids ascending, events (> 0), the sum of their values."""

    token_id: NDArray[np.int64]
    n_fires: NDArray[np.int64]
    sum: NDArray[np.float64]


_NO_TOKENS = LabelTokens(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))


class LabelTokenTables:
    """The label split's share of the full token table, one table file in memory at a time."""

    def __init__(self, folder: Path) -> None:
        names = [name for name in list_tables(folder) if name.startswith(TOKEN_TABLES)]
        self._files = [open_table(folder, name) for name in names]
        self._ends = [_last_feature(file) for file in self._files]
        self._open = -1
        self._feature: NDArray = np.zeros(0)
        self._tokens = _NO_TOKENS

    def read(self, feature: int) -> LabelTokens:
        """The tokens of one feature; those without an event on the label split are left out."""
        at = next((n for n, end in enumerate(self._ends) if feature <= end), None)
        if at is None:
            return _NO_TOKENS
        if at != self._open:
            self._load(at)
        first, end = np.searchsorted(self._feature, [feature, feature + 1])
        here, n_fires = slice(first, end), self._tokens.n_fires[first:end]
        is_there = n_fires > 0
        return LabelTokens(self._tokens.token_id[here][is_there], n_fires[is_there], self._tokens.sum[here][is_there])

    def _load(self, at: int) -> None:
        file = self._files[at]
        self._feature = file.read("feature_index").astype(np.int64)
        self._tokens = LabelTokens(
            token_id=file.read("token_id").astype(np.int64),
            n_fires=file.read("n_fires") - file.read("n_fires_score_split"),
            sum=file.read("sum") - file.read("sum_score_split"),
        )
        self._open = at


def _last_feature(file: TensorFile) -> int:
    n = file.entries["feature_index"].shape[0]
    return int(file.read("feature_index", n - 1, 1)[0]) if n else -1
