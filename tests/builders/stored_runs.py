"""Small invented runs for tests of the store: every number is known, nothing is computed by the code under test."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from featlas.core.histogram import OCTAVES
from featlas.domain import ContextBatch, ExampleBand, FeatureBatch, SnapshotHeader, Split, TokenRows
from featlas.store.registry import (
    CorpusFacts,
    DocumentFacts,
    ModelFacts,
    SaeFacts,
    add_documents,
    register_corpus,
    register_model,
    register_sae,
    register_tokenizer,
)
from featlas.store.runs import Run, RunFacts, create_run, fetch_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter
from featlas.store.tables import FeatureActivationsRow, FeatureColumnRow, FeatureRow, FeatureTokenRow, SnapshotRow

OF_SNAPSHOT = (FeatureRow, FeatureActivationsRow, FeatureTokenRow, FeatureColumnRow)
TOKENS = [
    b"<s>",
    b"the",
    b" court",
    b" caf\xc3",
    b"\xa9",
    b" \xf0\x9f",
    b"\x98\x80",
    b"\n",
    b"\x00",
    b' "q"',
    b" court",
]
N_VOCAB = len(TOKENS)
OCCURRENCES = np.arange(100, 100 + N_VOCAB, dtype=np.int64)
EDGES = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0])
N_BINS = len(EDGES) - 1
N_OCTAVES = len(OCTAVES)
POSITIONS = np.stack([np.arange(17), np.arange(17)[::-1]]).astype(np.int64)
CONTEXTS = [[0, 1, 2, 9], [0, 3, 4, 7], [4, 1, 5], [6, 8, 10, 1]]


@dataclass(frozen=True)
class Inputs:
    """Ids of what a run is made of."""

    tokenizer_id: int
    model_id: int
    sae_id: int
    corpus_id: int


def register_inputs(store: Store, d_sae: int = 4, mark: str = "") -> Inputs:
    """One of each input, with three documents."""
    tokenizer_id = register_tokenizer(store, "tokenizer", TOKENS, [0])
    model = ModelFacts("model" + mark, "tiny", tokenizer_id, d_model=8, n_layers=2)
    sae = SaeFacts("sae" + mark, "planted sae", "topk", 8, d_sae, 8, "blocks.1.hook_resid_post")
    corpus = CorpusFacts("corpus" + mark, "three texts", n_documents=3, n_tokens=15)
    corpus_id = register_corpus(store, corpus)
    add_documents(store, corpus_id, [DocumentFacts(at, f"{at}.txt", str(at), Split(at % 2)) for at in range(3)])
    return Inputs(tokenizer_id, register_model(store, model), register_sae(store, sae), corpus_id)


def make_run(store: Store, inputs: Inputs, name: str = "", **facts: object) -> Run:
    """A pending run of the inputs."""
    of = (inputs.model_id, inputs.sae_id, inputs.corpus_id)
    return create_run(store, RunFacts(*of, spec={"tokens": 15}, spec_hash="f" * 64, name=name, **facts))  # type: ignore[arg-type]


def make_header(n_features: int, *, is_partial: bool = False) -> SnapshotHeader:
    """A header with different numbers everywhere."""
    return SnapshotHeader(
        is_partial, n_features, 3, 4, 15, 13, {"bos": 2, "sink": 0}, EDGES, {"l0": 1.5, "fvu": None}, POSITIONS
    )


def make_contexts(indices: tuple[int, ...] = (0, 1, 2, 3)) -> ContextBatch:
    """The contexts of CONTEXTS with these indices; context i is in document i // 2."""
    tokens = [CONTEXTS[at] for at in indices]
    return ContextBatch(
        context_index=np.array(indices, dtype=np.int64),
        document_index=np.array([at // 2 for at in indices], dtype=np.int64),
        token_offset=np.array([100 * at for at in indices], dtype=np.int64),
        indptr=np.concatenate([[0], np.cumsum([len(t) for t in tokens])]).astype(np.int64),
        token_ids=np.array([t for ids in tokens for t in ids], dtype=np.uint32),
    )


def make_example_band(feature_index: int, band: str, contexts: list[int], n_in_band: int) -> ExampleBand:
    """Example e fires at positions 1 and 2 with 2.5 and −e − 3; contrasts fire nowhere."""
    n = len(contexts)
    is_contrast = band in ("near_miss", "non_firing")
    per_example = 0 if is_contrast else 2
    values = [] if is_contrast else [number for at in range(n) for number in (2.5, -at - 3.0)]
    return ExampleBand(
        feature_index=feature_index,
        band=band,
        n_in_band=n_in_band,
        context_index=np.array(contexts, dtype=np.uint32),
        split=np.arange(n, dtype=np.uint8) % 2,
        peak_position=np.full(n, 2, dtype=np.uint16),
        n_similar=np.arange(10, 10 + n, dtype=np.uint32),
        indptr=np.arange(n + 1, dtype=np.uint32) * per_example,
        position=np.array([1, 2] * (n if per_example else 0), dtype=np.uint16),
        value=np.array(values, dtype=np.float32),
    )


def make_batch(first: int, n: int, *, dead: frozenset[int] = frozenset(), with_details: bool = True) -> FeatureBatch:
    """Features first … first + n − 1 whose counts follow from their index; dead ones have no tokens and no examples."""
    index = np.arange(first, first + n)
    is_live = ~np.isin(index, list(dead))
    fires = np.where(is_live, 10 + index, 0)
    live = index[is_live] if with_details else index[:0]
    histogram = np.zeros((n, N_BINS), dtype=np.int64)
    histogram[:, 3] = fires - fires // 3
    histogram[:, 5] = fires // 3
    ends = np.where(is_live[:, None], np.stack([index / 1000, index / 100], axis=1), np.nan)
    return FeatureBatch(
        first_feature=first,
        n_fires=fires.astype(np.int64),
        n_contexts_fired=np.minimum(fires, 3).astype(np.int64),
        n_documents_fired=np.minimum(fires, 2).astype(np.int64),
        sum=fires * 1.5,
        sum_sq=fires * 2.5,
        max=np.where(is_live, 4.0 + index, np.nan).astype(np.float32),
        n_fires_excluded=(index % 3).astype(np.int64),
        max_excluded=np.where(index % 3 > 0, 9.0, np.nan).astype(np.float32),
        group_n_fires=np.tile(np.arange(16), (n, 1)).astype(np.int64),
        group_sum=np.tile(np.arange(16) / 7, (n, 1)),
        flags=np.where(is_live, 0, 1).astype(np.uint32),
        duplicate_of=np.where(index == 3, 0, -1).astype(np.int64),
        histogram=histogram,
        peak_histogram=np.ones((n, 2, N_OCTAVES), dtype=np.int64),
        position_profile=np.eye(2 * n, 17, dtype=np.int64).reshape(n, 2, 17),
        intervals={"activation_frequency": ends, "mean_activation": np.full((n, 2), np.nan)},
        top_tokens=make_token_rows(live),
        examples=[band for feature in live.tolist() for band in make_bands(feature)],
    )


def make_token_rows(features: np.ndarray) -> TokenRows:
    """Feature f fires on tokens 2, 3 and 8: f + 5, f + 5 and 1 times."""
    n = len(features)
    n_fires = np.stack([features + 5, features + 5, np.ones_like(features)], axis=1).ravel().astype(np.int64)
    return TokenRows(
        feature_index=np.repeat(features, 3).astype(np.uint32),
        token_id=np.tile([2, 3, 8], n).astype(np.uint32),
        n_fires=n_fires,
        n_fires_score_split=n_fires // 2,
        sum=np.asarray(n_fires * 0.5, dtype=np.float64),
        sum_score_split=np.asarray(n_fires * 0.25, dtype=np.float64),
        max=np.full(3 * n, 3.25, dtype=np.float32),
    )


def make_bands(feature: int) -> list[ExampleBand]:
    """Bands in no special order."""
    return [
        make_example_band(feature, "uniform", [3, 0], 7),
        make_example_band(feature, "octave:2", [1], 5),
        make_example_band(feature, "non_firing", [2], 1),
        make_example_band(feature, "top", [0, 1], 7),
        make_example_band(feature, "octave:-1", [2], 2),
        make_example_band(feature, "near_miss", [3], 4),
    ]


def make_columns(batch: FeatureBatch, n_tokens: int = 13, n_contexts: int = 4) -> dict[str, np.ndarray]:
    """The columns that a snapshot needs, of a batch that holds all its features."""
    fires = np.maximum(batch.n_fires, 1)
    has = batch.n_fires > 0
    return {
        "activation_frequency": batch.n_fires / n_tokens,
        "context_frequency": batch.n_contexts_fired / n_contexts,
        "mean_activation": np.where(has, batch.sum / fires, np.nan),
        "std_activation": np.where(has, 0.25 + np.arange(len(has)), np.nan).astype(np.float32),
        "max_activation": batch.max,
        "n_fires": batch.n_fires,
        "flags": batch.flags,
    }


def publish_run(store: Store, run: Run, n_features: int = 6, *, is_partial: bool = False) -> SnapshotWriter:
    """A published snapshot of n_features features; feature 1 is dead, those beyond the SAE's own are null ones."""
    writer = SnapshotWriter(store, run.id, make_header(n_features, is_partial=is_partial), OCCURRENCES)
    batch = make_batch(0, n_features, dead=frozenset({1}))
    writer.add_contexts(make_contexts())
    writer.add_features(batch)
    writer.add_columns(make_columns(batch))
    writer.publish()
    return writer


def count_rows(store: Store) -> dict[str, int]:
    with store.read() as session:
        tables = (*OF_SNAPSHOT, SnapshotRow)
        return {t.__tablename__: session.scalars(select(func.count()).select_from(t)).one() for t in tables}


def fetch_again(store: Store, run: Run) -> Run:
    with store.read() as session:
        return fetch_run(session, run.id)


def begin_snapshot(store: Store, run: Run, n_features: int = 6) -> SnapshotWriter:
    """A writer that has everything but its columns."""
    writer = SnapshotWriter(store, run.id, make_header(n_features), OCCURRENCES)
    writer.add_contexts(make_contexts())
    writer.add_features(make_batch(0, n_features))
    return writer
