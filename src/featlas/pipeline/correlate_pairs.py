"""All pairs of a run's features, tile by tile: the sums over all units, then the best partners of each feature."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featlas.core.correlation import GramTile
from featlas.core.partners import choose_partners
from featlas.domain import Measure, PartnerLists
from featlas.engine.gram import UnitEvents
from featlas.engine.threads import map_in_threads
from featlas.pipeline.column_spool import ColumnSpool
from featlas.pipeline.progress import Stop

BYTES_PER_TILE = 3 << 27
"""Of the three sums of a tile of features against all features."""

CELLS_AT_ONCE = 1 << 17
"""Pairs whose measures a thread takes at a time; each costs it about a hundred bytes."""

Partners = dict[Measure, PartnerLists]


def cut_tiles(n_features: int) -> list[tuple[int, int]]:
    """(first, end) of the tiles: as many features as have sums of BYTES_PER_TILE, at least one."""
    size = max(1, BYTES_PER_TILE // (24 * n_features))
    return [(first, min(first + size, n_features)) for first in range(0, n_features, size)]


class PairCorrelator:
    """Computes tiles; the stretch that was used last stays in memory, for runs that have only one."""

    def __init__(self, spool: ColumnSpool, n_partners: int, stop: Stop) -> None:
        self._spool, self._n_partners, self._stop = spool, n_partners, stop
        self._held: tuple[int, UnitEvents] | None = None

    def find_partners(self, first: int, end: int) -> Iterator[Partners]:
        """The partners of the features first … end − 1, in consecutive parts."""
        n_features = len(self._spool.features.values.n_fires)
        sums = tuple(np.empty((end - first, n_features)) for _ in range(3))
        for at in range(len(self._spool.stretches)):
            self._stop.check()
            tile = self._spool.by_feature(at).rows(first, end)
            self._units(at, n_features).add_products(sums, tile, is_first=at == 0)
        self._stop.check()
        n_rows = max(1, CELLS_AT_ONCE // n_features)

        def choose(row: int) -> Partners:
            return self._choose(sums, first, row, min(row + n_rows, end))

        yield from map_in_threads(choose, range(first, end, n_rows))

    def _units(self, at: int, n_features: int) -> UnitEvents:
        if self._held is None or self._held[0] != at:
            self._held = None  # before the next one is made: two would be too many
            self._held = at, UnitEvents(self._spool.by_unit(at), n_features)
        return self._held[1]

    def _choose(self, sums: tuple[NDArray[np.float64], ...], first: int, row: int, end: int) -> Partners:
        gram = GramTile(*(part[row - first : end - first] for part in sums))
        return choose_partners(gram, row, self._spool.features, self._n_partners)
