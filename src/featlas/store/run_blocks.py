"""The block files of a finished run: which features fire at which units, and how many units there are."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlas.domain import Cause, Unit
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.artifacts import (
    artifact_name,
    list_finished_blocks,
    load_block_extras,
    load_plan_arrays,
    load_plan_record,
    read_block_indptr,
    read_block_slice,
)
from featlas.store.runs import Run


@dataclass(frozen=True)
class RunBlocks:
    """The blocks that are there, ascending; `n_planned` were made. Features are the SAE's own, without null ones."""

    folder: Path
    blocks: list[int]
    n_planned: int
    block_slots: int
    n_features: int

    @property
    def share(self) -> float:
        """The share of the blocks that is there; below 1 what is computed from them is an estimate."""
        return len(self.blocks) / self.n_planned

    @cached_property
    def context_of_slot(self) -> NDArray[np.uint32]:
        """The context of each slot of the plan, as a memory map."""
        return load_plan_arrays(self.folder)["context_of_slot"]

    def count_units(self, unit: Unit) -> int:
        """Counted positions, or contexts that hold one, in the blocks that are there."""
        n = 0
        for block in self.blocks:
            slot = np.flatnonzero(load_block_extras(self.folder, block).cause == Cause.COUNTED)
            if unit is Unit.TOKEN:
                n += len(slot)
            else:
                n += len(np.unique(self.context_of_slot[slot + block * self.block_slots]))
        return n

    def count_events(self, block: int) -> NDArray[np.int64]:
        """How many events of each feature a block holds. Shape [n_features]."""
        return np.diff(read_block_indptr(self.folder, block))[: self.n_features]

    def read_events(
        self, block: int, first: int, n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The events of features first … first + n − 1 in a block: (indptr from 0, slots of the run, values)."""
        indptr, slot, value = read_block_slice(self.folder, block, first, n)
        return indptr, slot.astype(np.int64) + block * self.block_slots, value

    def require_features(self, features: list[int]) -> None:
        """Raises InputError for an empty list, an index that there is not, or one that is named twice."""
        if not features:
            raise InputError("no features are named; expected their indices, as in 3,7,9")
        for feature in features:
            if not 0 <= feature < self.n_features:
                raise InputError(f"there is no feature {feature}; expected indices from 0 to {self.n_features - 1}")
        twice = next((feature for feature in features if features.count(feature) > 1), None)
        if twice is not None:
            raise InputError(f"feature {twice} is named twice; expected each index once")


def open_run_blocks(run: Run, artifacts_path: Path, *, verify: bool) -> RunBlocks:
    """The blocks of a finished run; `verify` reads all of them once and leaves damaged ones out.

    Raises ConflictError where the run is not finished, or its artifact folder or all of its blocks are gone.
    """
    if run.header is None or run.header.is_partial:
        raise ConflictError(f"run {run.name!r} is not finished; `featlas jobs ls` shows how far it is")
    folder = artifacts_path / artifact_name(run.spec_hash, run.job_id)
    try:
        record = load_plan_record(folder)
    except NotFoundError as error:
        raise ConflictError(_gone(run, folder)) from error
    blocks = [block for block in list_finished_blocks(folder, verify=verify) if block < record["n_blocks"]]
    if not blocks:
        raise ConflictError(_gone(run, folder))
    return RunBlocks(folder, blocks, record["n_blocks"], record["block_slots"], run.n_features)


def _gone(run: Run, folder: Path) -> str:
    return (
        f"the files of run {run.name!r} are not in {folder}; correlations are computed from the blocks that lie there,"
        " so extract the run again"
    )
