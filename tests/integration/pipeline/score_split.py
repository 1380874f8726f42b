"""Takes the score split out of a finished run, to see that labelers never read it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from featlas.domain import Split
from featlas.store.artifacts import list_tables, open_table, plan_path, save_table
from featlas.store.blobs import pack_examples, pack_sparse, unpack_examples, unpack_sparse
from featlas.store.session import Store
from featlas.store.token_tables import OCCURRENCES, TOKEN_TABLES


def remove_score_split(store: Store, folder: Path) -> None:
    """Delete every trace of the score split that a labeler could read."""
    plan = plan_path(folder)
    split = np.load(plan / "document_split.npy")
    document = np.load(plan / "context_document.npy")
    owner = np.load(plan / "context_of_slot.npy")
    token_ids = np.load(plan / "token_ids.npy")
    is_score = np.append(split[document] == Split.SCORE, False)[owner]
    assert 0 < is_score.sum() < len(is_score)
    token_ids[is_score] = 0
    np.save(plan / "token_ids.npy", token_ids)
    (plan / "documents.jsonl").unlink()
    table = open_table(folder, OCCURRENCES)
    save_table(folder, OCCURRENCES, {"label": table.read("label"), "score": 0 * table.read("score")})
    for name in list_tables(folder):
        if name.startswith(TOKEN_TABLES):
            _keep_label_rows(folder, name)
    shutil.rmtree(folder / "blocks")
    with store.write() as session:
        session.execute(text("DELETE FROM documents WHERE split = 1"))
        session.execute(text("DELETE FROM feature_tokens"))
        for column in ("position_profile", "peak_histogram"):
            for row in session.execute(text(f"SELECT rowid, {column} AS counts FROM features")).all():
                counts = unpack_sparse(row.counts).reshape(2, -1)
                counts[Split.SCORE] = 0
                changed = {"row": row.rowid, "blob": pack_sparse(counts)}
                session.execute(text(f"UPDATE features SET {column} = :blob WHERE rowid = :row"), changed)
        bands = session.execute(text("SELECT rowid, feature_index, band, n_in_band, data FROM feature_activations"))
        for row in bands.all():
            changed = {"row": row.rowid, "blob": _label_examples(row)}
            session.execute(
                text("UPDATE feature_activations SET data = :blob, n_in_band = 0 WHERE rowid = :row"), changed
            )


def _keep_label_rows(folder: Path, name: str) -> None:
    table = open_table(folder, name)
    columns = {column: table.read(column) for column in table.entries}
    columns["n_fires"] = columns["n_fires"] - columns["n_fires_score_split"]
    kept = columns["n_fires"] > 0
    columns["n_fires_score_split"] = 0 * columns["n_fires_score_split"]
    columns["sum"] = columns["sum"] - columns["sum_score_split"]
    columns["sum_score_split"] = 0 * columns["sum_score_split"]
    save_table(folder, name, {column: values[kept] for column, values in columns.items()})


def _label_examples(row: Any) -> bytes:
    band = unpack_examples(row.data, row.feature_index, row.band, row.n_in_band)
    kept = np.flatnonzero(band.split == Split.LABEL)
    events = [np.arange(band.indptr[at], band.indptr[at + 1]) for at in kept]
    at = np.concatenate([np.zeros(0, dtype=np.int64), *events]).astype(np.int64)
    return pack_examples(
        replace(
            band,
            context_index=band.context_index[kept],
            split=band.split[kept],
            peak_position=band.peak_position[kept],
            n_similar=0 * band.n_similar[kept],
            indptr=np.concatenate([[0], np.cumsum([len(e) for e in events])]).astype(np.uint32),
            position=band.position[at],
            value=band.value[at],
        )
    )
