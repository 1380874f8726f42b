"""Another batch size is another plan: how many events of the demo SAE differ in float32, on 12,000 tokens."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.integration.pipeline.workbench import Workbench
from tools.record import save_record

from featlas.pipeline.plan import Plan
from featlas.store.artifacts import read_block_indptr, read_block_slice
from featlas.store.session import Store

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def workbench(tmp_path: Path, sqlite_template: Path, smollm2_folder: Path) -> Iterator[Workbench]:
    shutil.copy(sqlite_template, tmp_path / "featlas.db")
    store = Store.open(f"sqlite:///{tmp_path / 'featlas.db'}")
    text = (str(DATA / "demo-corpus.jsonl.gz"),)
    shared = {"model": str(smollm2_folder), "sae": str(DATA / "demo-sae"), "text": text, "tokens": 12_000}
    yield Workbench(tmp_path, store, {**shared, "null_features": 0})
    store.close()


def event_keys(plan: Plan) -> np.ndarray:
    """Every event as one integer: feature and slot."""
    keys = []
    for block in range(plan.n_blocks):
        n_features = len(read_block_indptr(plan.folder, block)) - 1
        indptr, slot, _ = read_block_slice(plan.folder, block, 0, n_features)
        feature = np.repeat(np.arange(n_features), np.diff(indptr))
        keys.append(feature << 32 | (block * plan.block_slots + slot.astype(np.int64)))
    return np.concatenate(keys)


def test_hardly_any_event_differs(workbench: Workbench) -> None:
    one, other = (event_keys(workbench.plan_of(workbench.extract(batch_size=n))) for n in (32, 5))
    n_differing = len(np.setxor1d(one, other))
    print(f"{n_differing} of {len(one):,} events differ")
    figures = {"n_events": len(one), "n_differing": n_differing, "share_differing": n_differing / len(one)}
    save_record("batch_size", figures, settings={"batch_sizes": [32, 5], "lm_dtype": "float32", "n_tokens": 12_000})
    assert n_differing <= 1e-4 * len(one)
