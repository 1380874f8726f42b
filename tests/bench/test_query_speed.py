"""How long a query over a million stored features takes on each database: published figures, guarded at five bars."""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.builders.stored_runs import OCCURRENCES, make_header, make_run, register_inputs
from tools.record import save_record

from featlas.store.bulk import insert_rows
from featlas.store.column_cache import ColumnCache
from featlas.store.listing import select_features
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter
from featlas.store.tables import FeatureStateRow, FeatureTokenRow, label_search_text
from featlas.store.tables.types import Row

N = 1_000_000
BAR_S = 0.1
N_TIMES = 11
PAGE = 50

# Numbers, states and categories: answered by columns in memory.
COLUMN_QUERIES = {
    "everything": "",
    "score_order": "sort:-score",
    "range": "-is:dead density:1e-5..1e-2 sort:-max_activation",
    "conjunction": "density:1e-6..1e-1 mean_activation:>1 score:>=0.3 sort:-score sort:n_fires",
    "alternatives": "category:Language (max_activation:>30 OR -has:score) -is:dense sort:mean_activation",
    "negation": "-(is:labeled n_fires:>=100) has:max_activation sort:-activation_frequency",
}
# Hundreds of features each: looked up in the database.
LOOKUP_QUERIES = {"text": "tribunal sort:-max_activation", "token": 'token:" court" -is:dead sort:-n_fires'}
TOKEN_OF_ALL, TOKEN_OF_FEW = 1, 2  # of stored_runs.TOKENS
RARE = 1000  # every so-many-th feature has the rare word and the rare token
CATEGORIES = ("Language", "Language > Syntax", "Code")


def make_facts(chance: np.random.Generator) -> dict[str, NDArray]:
    """Frequencies over six decades, a tenth of the features dead."""
    n_fires = (10 ** chance.uniform(0, 6, N)).astype(np.int64) * (chance.random(N) > 0.1)
    frequency = n_fires / 10_000_000
    values = {
        name: np.where(n_fires > 0, chance.gamma(shape, 3, N), np.nan).astype(np.float32)
        for name, shape in (("mean_activation", 2), ("std_activation", 1), ("max_activation", 9))
    }
    flags = (n_fires == 0).astype(np.uint32) | (frequency > 0.05).astype(np.uint32) * 2
    return {"n_fires": n_fires, "activation_frequency": frequency, "context_frequency": frequency, **values} | {
        "flags": flags
    }


def read_state_rows(sae_id: int, chance: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Half of the features are scored and have a category; a third of all is labelled."""
    scores = chance.random(N // 2).round(2).tolist()
    for index, score in enumerate(scores):
        word = "tribunal" if index % (RARE // 2) == 0 else "plain"
        label = f"{word} number {index}" if index % 3 != 1 else None
        category = CATEGORIES[index % 3]
        text = label_search_text(label, category)
        yield (sae_id, index, label, category, text, "unreviewed", "[]", score, False, index + 1)


def read_token_rows(snapshot_id: int) -> Iterator[tuple[object, ...]]:
    """Every feature has one common token, some a rare one."""
    for index in range(N):
        yield (snapshot_id, index, TOKEN_OF_ALL, 5, 1, 2.5, 1.0)
        if index % RARE == 0:
            yield (snapshot_id, index, TOKEN_OF_FEW, 3, 1, 1.5, 1.0)


def insert_all(store: Store, table: type[Row], columns: str, rows: Iterator[tuple[object, ...]]) -> None:
    with store.write() as session:
        insert_rows(session, table, columns.split(), list(rows))


@pytest.fixture
def snapshot_id(store: Store) -> int:
    chance = np.random.default_rng(0)
    inputs = register_inputs(store, d_sae=N)
    writer = SnapshotWriter(store, make_run(store, inputs).id, make_header(N), OCCURRENCES)
    writer.add_columns(make_facts(chance))
    tokens = "snapshot_id feature_index token_id n_fires n_fires_score_split sum max"
    insert_all(store, FeatureTokenRow, tokens, read_token_rows(writer.snapshot_id))
    state = (
        "sae_id feature_index semantic_label category_label search_text review_state lint_flags score is_favorite rev"
    )
    insert_all(store, FeatureStateRow, state, read_state_rows(inputs.sae_id, chance))
    return writer.snapshot_id


def seconds(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def test_filter_sort_count_and_first_fifty(store: Store, dialect: str, snapshot_id: int) -> None:
    cache = ColumnCache()
    counts: dict[str, int] = {}

    def ask(name: str, text: str) -> None:
        with store.read() as session:
            page = select_features(session, cache, snapshot_id, text).page(PAGE)
        assert PAGE == len(page.feature_index)
        counts[name] = page.n_matches

    first_s = seconds(lambda: ask("everything", ""))
    medians = {
        name: statistics.median(seconds(lambda name=name, text=text: ask(name, text)) for _ in range(N_TIMES))
        for name, text in (COLUMN_QUERIES | LOOKUP_QUERIES).items()
    }
    for name, median in medians.items():
        print(f"{dialect}: {median * 1000:.0f} ms for {counts[name]:,} of {N:,} features: {name}")
    assert (N, 667) == (counts["everything"], counts["text"])
    slowest = max(medians[name] for name in COLUMN_QUERIES)
    slowest_lookup = max(medians[name] for name in LOOKUP_QUERIES)
    figures = {f"{name}_ms": round(median * 1000, 1) for name, median in medians.items()}
    totals = {"slowest_ms": round(slowest * 1000, 1), "slowest_lookup_ms": round(slowest_lookup * 1000, 1)}
    save_record(
        f"query-speed-{dialect}",
        {**figures, **totals, "first_query_s": round(first_s, 2)},
        settings={"n_features": N, "page": PAGE, "n_times": N_TIMES, **COLUMN_QUERIES, **LOOKUP_QUERIES},
    )
    assert slowest < 5 * BAR_S
