"""A change of the input changes the output accordingly and nothing else: nothing is made up, nothing kept over."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sqlalchemy import text as sql
from tests.builders.made_texts import CHAT, made_documents, save_documents
from tests.builders.published import read_published
from tests.integration.pipeline.conftest import planted_spec
from tests.integration.pipeline.workbench import Workbench
from tokenizers import Tokenizer

from featlas.errors import ConflictError
from featlas.store.runs import Run
from featlas.store.snapshots import discard_run
from featlas.testing.planted_sae import SINK_TOKEN, Planted

CHANGED_FEATURE = 20


def rows_of(workbench: Workbench, run: Run, table: str) -> dict[int, list[Any]]:
    """Published rows by feature."""
    found: dict[int, list[Any]] = {}
    for row in read_published(workbench.store, run.id)[table]:
        found.setdefault(dict(row)["feature_index"], []).append(row)
    return found


def n_fires(workbench: Workbench, run: Run) -> np.ndarray:
    with workbench.store.read() as session:
        rows = session.execute(
            sql("SELECT n_fires FROM features WHERE snapshot_id = :id AND feature_index < 80 ORDER BY feature_index"),
            {"id": run.snapshot_id},
        )
        return np.array([row.n_fires for row in rows])


@pytest.fixture
def other_sae(tmp_path: Path, planted: Planted) -> Path:
    """The planted SAE with one encoder column set to zero."""
    folder = Path(shutil.copytree(planted.sae, tmp_path / "other"))
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["W_enc"][:, CHANGED_FEATURE] = 0
    save_file(tensors, folder / "sae_weights.safetensors")
    return folder


def test_one_feature_of_the_sae(workbench: Workbench, other_sae: Path) -> None:
    # Without one coordinate the self-check sees less variance explained than elsewhere.
    before, after = workbench.extract(force=True), workbench.extract(sae=str(other_sae), force=True)
    for table in ("features", "feature_tokens", "feature_activations"):
        old, new = rows_of(workbench, before, table), rows_of(workbench, after, table)
        differing = [f for f in range(80) if old.get(f) != new.get(f)]
        assert [CHANGED_FEATURE] == differing
    counts = n_fires(workbench, before), n_fires(workbench, after)
    assert counts[0][CHANGED_FEATURE] > 0 == counts[1][CHANGED_FEATURE]
    assert before.sae_id != after.sae_id


def test_one_document(workbench: Workbench, planted: Planted, tmp_path: Path) -> None:
    """Counts change by exactly what the two documents differ in."""
    texts = made_documents()
    old, new = texts[10], CHAT + " the president of the Senate ~ 🙂"
    changed = save_documents(tmp_path / "changed.jsonl", [*texts[:10], new, *texts[11:]])
    before, after = workbench.extract(), workbench.extract(text=(str(changed),))
    tokenizer = Tokenizer.from_file(str(planted.model / "tokenizer.json"))
    counted = [Counter(tokenizer.encode(text, add_special_tokens=False).ids) for text in (old, new)]
    fires = (planted.activations > 0).astype(int)
    fires[planted.ids[SINK_TOKEN]] = 0
    expected = sum(
        sign * n * fires[token] for sign, counts in zip((-1, 1), counted, strict=True) for token, n in counts.items()
    )
    assert np.abs(expected).sum() > 0
    assert (n_fires(workbench, after) - n_fires(workbench, before)).tolist() == np.asarray(expected).tolist()


def test_nothing_is_kept_over_from_inputs_that_changed(workbench: Workbench, planted: Planted, tmp_path: Path) -> None:
    """A stopped run whose text has changed since starts again, and what it had made is gone."""
    text = save_documents(tmp_path / "some.jsonl", made_documents(30))
    bench = Workbench(workbench.folder, workbench.store, planted_spec(planted, text))
    job_id, stale = bench.pause("reading the text", 600, name="mine")
    assert list(stale.glob("blocks/*"))
    save_documents(text, made_documents(40))
    run = bench.extract(job_id, name="mine")
    assert not stale.exists()
    with bench.store.read() as session:
        assert [run.id] == session.scalars(sql("SELECT id FROM runs")).all()
    fresh = bench.extract()
    assert read_published(bench.store, fresh.id) == read_published(bench.store, run.id)
    with pytest.raises(ConflictError, match="finished"):
        discard_run(bench.store, run.id)
