"""How long all pairs of features take, beside a plain sparse product in the same process, and in how much memory."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from tools.record import save_record

from featlas.domain import Cause, Measure, Unit
from featlas.engine.threads import use_threads
from featlas.pipeline.column_spool import spool_columns
from featlas.pipeline.correlate_pairs import PairCorrelator, cut_tiles
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.store.artifacts import BlockArrays, save_block
from featlas.store.run_blocks import RunBlocks

L0 = 50
BLOCK_SLOTS = 16_384
THREADS = 2
N_PARTNERS = 20
BAR_S = 15.0
GUARD = 5
MOST_BYTES = 2 * 10**9
NOTHING = np.zeros(0, dtype=np.int64)
SIZES = {"8k": (8192, 200_000), "32k": (32_768, 3_000_000)}


def save_made_blocks(folder: Path, n_features: int, n_tokens: int) -> RunBlocks:
    """Blocks in which about L0 features fire per token: the feature of rank r about 1 / √r as often as the first."""
    chance = np.random.default_rng(0)
    share = 1 / np.sqrt(np.arange(1, n_features + 1))
    up_to = np.cumsum(share / share.sum())
    n_blocks = -(-n_tokens // BLOCK_SLOTS)
    for block in range(n_blocks):
        n = min(BLOCK_SLOTS, n_tokens - block * BLOCK_SLOTS)
        slot = np.repeat(np.arange(n), L0)
        feature = np.searchsorted(up_to, chance.random(len(slot))).clip(0, n_features - 1)
        key = np.unique(feature * BLOCK_SLOTS + slot)
        feature, slot = key // BLOCK_SLOTS, key % BLOCK_SLOTS
        cause = np.full(BLOCK_SLOTS, Cause.PADDING)
        cause[:n] = Cause.COUNTED
        indptr = np.concatenate([[0], np.cumsum(np.bincount(feature, minlength=n_features))])
        value = chance.exponential(1, len(feature)).astype(np.float32)
        save_block(folder, block, BlockArrays(indptr, slot, value, NOTHING, NOTHING, NOTHING, cause))
    return RunBlocks(folder, list(range(n_blocks)), n_blocks, BLOCK_SLOTS, n_features)


def time_partners(run: RunBlocks, folder: Path) -> dict[str, float]:
    """Seconds of reading the blocks, and of all pairs by all measures, down to the chosen partners."""
    use_threads(THREADS)
    began, cpu = time.perf_counter(), time.process_time()
    spool = spool_columns(run, Unit.TOKEN, folder, NoProgress(), NeverStop())
    read = time.perf_counter()
    correlator = PairCorrelator(spool, N_PARTNERS, NeverStop())
    n_lists = 0
    for tile in cut_tiles(run.n_features):
        n_lists += sum(len(lists.reasons) for part in correlator.find_partners(*tile) for lists in part.values())
    assert n_lists == run.n_features * len(Measure)
    end = time.perf_counter()
    return {
        "reading_s": read - began,
        "pairs_s": end - read,
        "total_s": end - began,
        "cpu_s": time.process_time() - cpu,
    }


def time_plain_product(run: RunBlocks) -> float:
    """Seconds of one Gram matrix by SciPy, of the values alone."""
    events = [run.read_events(block, 0, run.n_features) for block in run.blocks]
    feature = np.concatenate([np.repeat(np.arange(run.n_features), np.diff(indptr)) for indptr, _, _ in events])
    slot = np.concatenate([slots for _, slots, _ in events])
    value = np.concatenate([values for _, _, values in events]).astype(np.float64)
    shape = (len(run.blocks) * BLOCK_SLOTS, run.n_features)
    matrix = sparse.coo_array((value, (slot, feature)), shape).tocsr()
    turned = matrix.T.tocsr()
    began = time.perf_counter()
    _ = turned @ matrix
    return time.perf_counter() - began


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", SIZES)
def test_all_pairs(size: str, tmp_path: Path) -> None:
    n_features, n_tokens = SIZES[size]
    run = save_made_blocks(tmp_path, n_features, n_tokens)
    figures: dict[str, Any] = time_partners(run, tmp_path / "columns")
    unit = 1 if sys.platform == "darwin" else 1024
    figures["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if size == "8k":
        figures["plain_product_s"] = time_plain_product(run)
        assert figures["total_s"] < GUARD * BAR_S
    assert figures["peak_bytes"] < GUARD * MOST_BYTES
    settings = {"n_features": n_features, "n_tokens": n_tokens, "l0": L0, "threads": THREADS}
    save_record(f"correlation-{size}", figures, settings=settings)
    print(figures)
