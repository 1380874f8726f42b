"""Artifact folders with made-up blocks: known activations of every feature, without a model that computed them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.builders.stored_runs import (
    OCCURRENCES,
    fetch_again,
    make_batch,
    make_columns,
    make_contexts,
    make_header,
    make_run,
    register_inputs,
)

from featlas.domain import Cause
from featlas.store.artifacts import BlockArrays, artifact_name, begin_plan, publish_plan, save_block
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter

N_NULL = 2
NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Text:
    """Which slots are counted, and in which context each lies: contexts of `ctx_len` slots, a BOS at their start."""

    n_slots: int
    block_slots: int
    ctx_len: int = 8

    @property
    def context_of_slot(self) -> NDArray[np.int64]:
        return np.arange(self.n_slots) // self.ctx_len

    @property
    def is_counted(self) -> NDArray[np.bool_]:
        return np.arange(self.n_slots) % self.ctx_len != 0


def save_blocks(folder: Path, dense: NDArray, text: Text) -> None:
    """A plan and the blocks of `dense` [n_slots, n_features]; null features, which fire everywhere, come behind."""
    partial = begin_plan(folder)
    np.save(partial / "context_of_slot.npy", text.context_of_slot.astype(np.uint32))
    n_blocks = -(-text.n_slots // text.block_slots)
    publish_plan(folder, {"format": 1, "block_slots": text.block_slots, "n_blocks": n_blocks})
    numbers = np.concatenate([dense, np.ones((len(dense), N_NULL))], axis=1) * text.is_counted[:, None]
    for block in range(n_blocks):
        here = slice(block * text.block_slots, (block + 1) * text.block_slots)
        part = numbers[here]
        feature, slot = np.nonzero(part.T)
        cause = np.full(text.block_slots, Cause.PADDING)
        cause[: len(part)] = np.where(text.is_counted[here], Cause.COUNTED, Cause.BOS)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(feature, minlength=numbers.shape[1]))])
        values = part.T[feature, slot].astype(np.float32)
        save_block(folder, block, BlockArrays(indptr, slot, values, NOTHING, NOTHING, NOTHING, cause))


def make_run_with_blocks(store: Store, artifacts_path: Path, dense: NDArray, text: Text) -> Run:
    """A finished run of an SAE of so many features, and its artifact folder."""
    n = dense.shape[1]
    run = make_run(store, register_inputs(store, d_sae=n))
    writer = SnapshotWriter(store, run.id, make_header(n + N_NULL), OCCURRENCES)
    batch = make_batch(0, n + N_NULL)
    writer.add_contexts(make_contexts())
    writer.add_features(batch)
    writer.add_columns(make_columns(batch))
    writer.publish()
    save_blocks(artifacts_path / artifact_name(run.spec_hash, run.job_id), dense, text)
    return fetch_again(store, run)


def make_dense(n_slots: int, n_features: int, seed: int = 0) -> NDArray[np.float32]:
    """Features of every frequency; 0 never fires, 2 and 3 are the same but for their size."""
    chance = np.random.default_rng(seed)
    fires = chance.random((n_slots, n_features)) < 0.02 + 0.5 * chance.random(n_features) ** 3
    dense = np.where(fires, chance.exponential(1, fires.shape) + 0.05, 0).astype(np.float32)
    dense[:, 0] = 0
    dense[:, 2] = np.where(chance.random(n_slots) < 0.4, 1 + chance.random(n_slots), 0)
    dense[:, 3] = 2 * dense[:, 2]
    return dense
