"""A run's events as correlations read them, on disk: stretch by stretch of the text, by feature and by unit.

Block files hold values; here each event also gets its rank among all units, and every stretch is kept in both orders,
so that sums over all pairs of features are products of sparse matrices that fit into memory. The files take 24 bytes
per event and are removed when the job ends.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from featlas.core.correlation import Features
from featlas.core.sparse_columns import (
    ColumnMoments,
    SparseColumns,
    column_moments,
    join_columns,
    join_moments,
    pool_contexts,
    rank_twice,
)
from featlas.domain import Unit
from featlas.engine.gram import Events
from featlas.pipeline.progress import Progress, Stop
from featlas.store.atomic_files import disk_errors_named
from featlas.store.run_blocks import RunBlocks

EVENTS_PER_STRETCH = 1 << 24
SLOTS_PER_STRETCH = 1 << 23
EVENTS_PER_RANGE = 1 << 21
FEATURES_PER_RANGE = 1024

_FILES: dict[str, DTypeLike] = {"column": np.int32, "value": np.float32, "rank": np.int32}


@dataclass(frozen=True)
class Stretch:
    """Some consecutive blocks; `first_row` … `first_row + n_rows − 1` are the units in them."""

    blocks: list[int]
    first_row: int
    n_rows: int


@dataclass(frozen=True)
class ColumnSpool:
    """The events of all features, each stretch in two orders, and what is known of each feature by itself."""

    folder: Path
    stretches: list[Stretch]
    indptr: list[NDArray[np.int64]]  # per stretch, by feature
    features: Features

    def by_feature(self, at: int) -> Events:
        """The events of a stretch feature by feature; columns are units, counted from the stretch's first."""
        return _map_events(self.folder / f"features-{at:06d}", self.indptr[at])

    def by_unit(self, at: int) -> Events:
        """The events of a stretch unit by unit; columns are features."""
        path = self.folder / f"units-{at:06d}"
        return _map_events(path, np.load(path.with_name(f"{path.name}.indptr.npy")))


def spool_columns(run: RunBlocks, unit: Unit, folder: Path, progress: Progress, stop: Stop) -> ColumnSpool:
    """Read all blocks once, range of features by range, into `folder`, which is emptied before.

    Raises ExternalError where the disk refuses; JobCancelled or JobPaused where the job is stopped.
    """
    with disk_errors_named(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    n_events = {block: run.count_events(block) for block in run.blocks}
    stretches = _cut_stretches(run, unit, {block: int(n.sum()) for block, n in n_events.items()})
    n_units = run.count_units(unit)
    total: NDArray[np.int64] = np.sum(list(n_events.values()), axis=0)
    progress.phase("reading the blocks", run.n_features, "features")
    counts: list[list[NDArray[np.int64]]] = [[] for _ in stretches]
    moments: list[tuple[ColumnMoments, ColumnMoments]] = []
    for first, end in cut_ranges(total, EVENTS_PER_RANGE, FEATURES_PER_RANGE):
        stop.check()
        parts = [_read_stretch(run, unit, stretch, first, end) for stretch in stretches]
        columns = join_columns(parts)
        ranks = rank_twice(columns, n_units)
        moments.append(tuple(column_moments(columns.indptr, x, n_units) for x in (columns.value, ranks)))  # type: ignore[arg-type]
        for at, (part, rank) in enumerate(zip(parts, _cut_ranks(parts, ranks), strict=True)):
            counts[at].append(np.diff(part.indptr))
            local = (part.row - stretches[at].first_row).astype(np.int32)
            _append(folder / f"features-{at:06d}", local, part.value, rank)
        progress.advance(end - first)
    indptr = [np.concatenate([[0], np.cumsum(np.concatenate(parts))]) for parts in counts]
    values, of_ranks = (join_moments(list(kind)) for kind in zip(*moments, strict=True))
    spool = ColumnSpool(folder, stretches, indptr, Features(n_units, values, of_ranks))
    progress.phase("sorting events by unit", len(stretches), "stretches")
    for at in range(len(stretches)):
        stop.check()
        _turn(spool, at)
        progress.advance()
    return spool


def cut_ranges(weight: NDArray[np.int64], most: int, most_features: int) -> Iterator[tuple[int, int]]:
    """Consecutive (first, end) of at most `most` weight and so many features, or a single feature each."""
    first, held = 0, 0
    for feature, n in enumerate(weight.tolist()):
        if feature > first and (held + n > most or feature - first >= most_features):
            yield first, feature
            first, held = feature, 0
        held += n
    yield first, len(weight)


def _cut_stretches(run: RunBlocks, unit: Unit, n_events: dict[int, int]) -> list[Stretch]:
    """Blocks in order, as many at a time as hold EVENTS_PER_STRETCH events, or a single one."""
    groups: list[list[int]] = []
    held = 0
    for block in run.blocks:
        is_long = bool(groups) and (block + 1 - groups[-1][0]) * run.block_slots > SLOTS_PER_STRETCH
        if not groups or is_long or held + n_events[block] > EVENTS_PER_STRETCH:
            groups.append([])
            held = 0
        groups[-1].append(block)
        held += n_events[block]
    return [_stretch(run, unit, blocks) for blocks in groups]


def _stretch(run: RunBlocks, unit: Unit, blocks: list[int]) -> Stretch:
    first, end = blocks[0] * run.block_slots, (blocks[-1] + 1) * run.block_slots
    if unit is Unit.TOKEN:
        return Stretch(blocks, first, end - first)
    # No context lies in two blocks, and gaps hold a number behind all contexts.
    contexts = run.context_of_slot[first:end]
    first_context = int(contexts[0])
    return Stretch(blocks, first_context, int(contexts.max()) + 1 - first_context)


def _read_stretch(run: RunBlocks, unit: Unit, stretch: Stretch, first: int, end: int) -> SparseColumns:
    parts = [SparseColumns(*run.read_events(block, first, end - first)) for block in stretch.blocks]
    columns = join_columns(parts)
    return columns if unit is Unit.TOKEN else pool_contexts(columns, run.context_of_slot)


def _cut_ranks(parts: list[SparseColumns], ranks: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    """The ranks of joined columns as those of each part."""
    if len(parts) == 1:
        yield ranks
        return
    order = np.argsort(np.concatenate([part.feature() for part in parts]), kind="stable")
    in_parts = np.empty_like(ranks)
    in_parts[order] = ranks
    yield from np.split(in_parts, np.cumsum([len(part.row) for part in parts])[:-1])


def _turn(spool: ColumnSpool, at: int) -> None:
    """Write a stretch's events unit by unit."""
    events = spool.by_feature(at)
    stretch = spool.stretches[at]
    place = np.arange(len(events.column), dtype=np.int32)
    shape = (len(events.indptr) - 1, stretch.n_rows)
    turned = sparse.csr_array((place, events.column, events.indptr), shape).tocsc()
    path = spool.folder / f"units-{at:06d}"
    with disk_errors_named(path):
        np.save(path.with_name(f"{path.name}.indptr.npy"), turned.indptr.astype(np.int64))
    place = np.asarray(turned.data, dtype=np.int64)
    _append(path, turned.indices.astype(np.int32), events.value[place], events.rank[place])


def _append(path: Path, column: NDArray[np.int32], value: NDArray[np.float32], rank: NDArray[np.int32]) -> None:
    for name, array in zip(_FILES, (column, value, rank), strict=True):
        with disk_errors_named(path), path.with_name(f"{path.name}.{name}").open("ab") as file:
            file.write(np.ascontiguousarray(array).data)


def _map_events(path: Path, indptr: NDArray[np.int64]) -> Events:
    def load(name: str) -> NDArray:
        if indptr[-1] == 0:
            return np.zeros(0, dtype=_FILES[name])
        return np.memmap(path.with_name(f"{path.name}.{name}"), dtype=_FILES[name], mode="r")

    return Events(indptr, load("column"), load("value"), load("rank"))
