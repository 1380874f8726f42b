"""The square matrix of chosen features, from the blocks of a finished run; page and command line share it.

What is read are the slices of these features in the block files, as a document's activations are; what is computed is
a sum over their events. Partners among all features are a job's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featlas.core.correlation import CorrelationMatrix, correlate
from featlas.core.sparse_columns import SparseColumns, join_columns, pool_contexts
from featlas.domain import Measure, Unit
from featlas.errors import InputError
from featlas.store.run_blocks import RunBlocks, open_run_blocks
from featlas.store.runs import Run


@dataclass(frozen=True)
class ReadMatrix:
    """A matrix and what it rests on: units counted, and the share of the run's blocks that was there."""

    features: list[int]
    unit: Unit
    measure: Measure
    n_units: int
    share: float
    matrix: CorrelationMatrix


def parse_features(text: str) -> list[int]:
    """The indices in `3,7,9`; raises InputError for anything else."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(f"features {text!r}: expected indices separated by commas, as in 3,7,9") from error


def parse_measure(text: str) -> Measure:
    """The measure of this name; raises InputError where there is none."""
    try:
        return Measure(text)
    except ValueError as error:
        raise InputError(f"there is no method {text!r}; expected one of {', '.join(Measure)}") from error


def parse_unit(text: str) -> Unit:
    """The unit of this name; raises InputError where there is none."""
    try:
        return Unit(text)
    except ValueError as error:
        raise InputError(f"there is no unit {text!r}; expected one of {', '.join(Unit)}") from error


def read_matrix(
    run: Run,
    artifacts_path: Path,
    features: Sequence[int],
    measure: Measure,
    unit: Unit,
    *,
    most_events: int | None = None,
) -> ReadMatrix:
    """The matrix of some features in the order given.

    Raises InputError for an empty list, an index that there is not or that is named twice, and for features with more
    than `most_events` events together; ConflictError where the run is not finished or its files are gone.
    """
    chosen = list(features)
    blocks = open_run_blocks(run, artifacts_path, verify=False)
    blocks.require_features(chosen)
    n_events = sum(int(blocks.count_events(block)[chosen].sum()) for block in blocks.blocks)
    if most_events is not None and n_events > most_events:
        raise InputError(
            f"these features have {n_events:,} events, more than the {most_events:,} that are read here;"
            f" `featlas correlate {run.id} --matrix --features …` takes them, or name fewer"
        )
    columns = _read_columns(blocks, chosen)
    if unit is Unit.CONTEXT:
        columns = pool_contexts(columns, blocks.context_of_slot)
    n_units = blocks.count_units(unit)
    return ReadMatrix(chosen, unit, measure, n_units, blocks.share, correlate(columns, n_units, measure))


def _read_columns(blocks: RunBlocks, features: list[int]) -> SparseColumns:
    """The events of these features, one column after the other."""
    parts = [
        join_columns([SparseColumns(*blocks.read_events(block, feature, 1)) for block in blocks.blocks])
        for feature in features
    ]
    return SparseColumns(
        np.concatenate([[0], np.cumsum([len(part.row) for part in parts])]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.value for part in parts]),
    )
