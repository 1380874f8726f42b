"""A small finished run whose features can be asked about: in the store, with its token tables in an artifact folder.

Contexts 0 … 3 and 8 … 11 are of the label split, 4 … 7 of the score split.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.builders.stored_runs import (
    N_VOCAB,
    OCCURRENCES,
    make_batch,
    make_columns,
    make_header,
    make_run,
    make_token_rows,
    register_inputs,
)

from featlas.domain import ContextBatch, ExampleBand, FeatureFlag, Split, TokenRows
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.store import token_tables
from featlas.store.artifacts import artifact_name, save_table
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter

Places = Sequence[tuple[int, float | None]]
DEAD = 1
LABEL_OCCURRENCES = np.arange(70, 70 + N_VOCAB, dtype=np.int64)
BANDS: dict[str, Places] = {
    "top": [(4, 9.0), (0, 8.0), (8, -6.0), (1, 5.0)],
    "uniform": [(3, 0.7), (6, 1.0)],
    "octave:3": [(4, 9.0), (0, 8.0)],
    "octave:2": [(8, -6.0), (5, 4.5), (1, 5.0), (9, 4.0)],
    "octave:0": [(6, 1.0), (2, 1.5)],
    "octave:-1": [(3, 0.7)],
    "near_miss": [(7, None), (10, None)],
    "non_firing": [(11, None), (5, None)],
}


def split_of(context: int) -> Split:
    return Split.SCORE if context // 4 == 1 else Split.LABEL


def band_of(name: str, places: Places, feature_index: int = 0) -> ExampleBand:
    """Each example fires at position 1 with its value, or nowhere for None."""
    n, values = len(places), [value for _, value in places if value is not None]
    return ExampleBand(
        feature_index=feature_index,
        band=name,
        n_in_band=n,
        context_index=np.array([context for context, _ in places], dtype=np.uint32),
        split=np.array([split_of(context) for context, _ in places], dtype=np.uint8),
        peak_position=np.ones(n, dtype=np.uint16),
        n_similar=np.ones(n, dtype=np.uint32),
        indptr=np.cumsum([0, *(value is not None for _, value in places)]).astype(np.uint32),
        position=np.ones(len(values), dtype=np.uint16),
        value=np.array(values, dtype=np.float32),
    )


def make_asked_run(
    store: Store,
    artifacts: Path,
    n_features: int = 6,
    *,
    mark: str = "",
    is_partial: bool = False,
    bands: dict[str, Places] | None = None,
    flags: Mapping[int, FeatureFlag] | None = None,
    change_score: Callable[[int], int] = lambda n: n,
) -> Run:
    """A run of n_features features, of which 1 is dead; `change_score` changes all counts of the score split."""
    inputs = register_inputs(store, n_features, mark)
    made = make_run(store, inputs, name=f"asked{mark}")
    n = n_features
    batch = make_batch(0, n, dead=frozenset({DEAD}))
    peaks = np.stack([np.tile([1, 2], (n, 22)), np.full((n, 44), change_score(5))], axis=1)
    features = [at for at in range(n) if at != DEAD]
    batch = replace(
        batch,
        peak_histogram=peaks[:, :, : batch.peak_histogram.shape[2]].astype(np.int64),
        examples=[band_of(name, places, at) for at in features for name, places in (bands or BANDS).items()],
        flags=np.array([{DEAD: FeatureFlag.DEAD, **(flags or {})}.get(at, 0) for at in range(n)], dtype=np.uint32),
    )
    writer = SnapshotWriter(store, made.id, make_header(n, is_partial=is_partial), OCCURRENCES)
    writer.add_contexts(_contexts(change_score))
    writer.add_features(batch)
    writer.add_columns(make_columns(batch))
    writer.publish()
    folder = artifacts / artifact_name(made.spec_hash, made.job_id)
    occurrences = {"label": LABEL_OCCURRENCES, "score": np.full(N_VOCAB, change_score(30), dtype=np.int64)}
    save_table(folder, token_tables.OCCURRENCES, occurrences)
    for number, part in enumerate(np.array_split(np.array(features), 2)):
        rows = _with_score(make_token_rows(part), change_score)
        save_table(folder, f"{token_tables.TOKEN_TABLES}{number:06d}", vars(rows))
    add_shipped_templates(store)
    with store.read() as session:
        return fetch_run(session, made.id)


def _contexts(change_score: Callable[[int], int]) -> ContextBatch:
    """Context c has the tokens 1, 2 and those of c in base 2; what those of the score split say can be changed."""
    numbers = [change_score(at) if split_of(at) is Split.SCORE else at for at in range(12)]
    tokens = [[1, 2, *(5 + (number >> bit) % 2 for bit in range(4))] for number in numbers]
    return ContextBatch(
        context_index=np.arange(12, dtype=np.int64),
        document_index=np.arange(12, dtype=np.int64) // 4,
        token_offset=np.arange(12, dtype=np.int64) * 100,
        indptr=np.arange(13, dtype=np.int64) * 6,
        token_ids=np.array([token for row in tokens for token in row], dtype=np.uint32),
    )


def _with_score(rows: TokenRows, change_score: Callable[[int], int]) -> TokenRows:
    """The rows of `make_token_rows` with as many label events, and other score events."""
    score = np.array([change_score(int(n)) for n in rows.n_fires_score_split], dtype=np.int64)
    label = rows.n_fires - rows.n_fires_score_split
    return replace(
        rows, n_fires=label + score, n_fires_score_split=score, sum=label * 0.5 + score, sum_score_split=score * 1.0
    )
