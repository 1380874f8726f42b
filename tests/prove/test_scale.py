"""A million features on both databases: pages, features, searches over HTTP; and what publishing costs beside COPY."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.builders.wide_run import build_wide_run
from tests.e2e.page_speed import load_of_machine
from tests.e2e.scale import FILTERS, SEARCHES, SORTS, Size, build_scale, measure_answers, measure_bare_copy
from tools.record import save_record

from featlas.store.session import Store

FULL = Size(n_features=1_000_000, n_with_examples=20_000, n_contexts=16_384)
N_TIMES = 7
BARS_MS = {"first_page_slowest_ms": 50, "last_page_slowest_ms": 50, "feature_ms": 20, "search_common_word_ms": 50}
N_PUBLISHED = 65_536


@pytest.mark.timeout(3600)
def test_a_million_features(new_store_url: Callable[[str], str], dialect: str, tmp_path: Path) -> None:
    url = new_store_url(dialect)
    wide = build_scale(url, FULL)
    before = load_of_machine()
    figures = measure_answers(tmp_path, url, wide, FULL, N_TIMES)
    settings = {
        **vars(FULL),
        "n_times": N_TIMES,
        "filters": FILTERS,
        "sorts": SORTS,
        "searches": SEARCHES,
        "load_before": before,
        "load_after": load_of_machine(),
    }
    print(dialect, figures, settings)
    save_record(f"scale-{dialect}", {**figures, "writing_s": round(wide.writing_s, 1)}, settings=settings)
    assert {name: figures[name] for name, bar in BARS_MS.items() if figures[name] > 5 * bar} == {}


@pytest.mark.timeout(3600)
def test_publishing_beside_a_bare_copy(new_store_url: Callable[[str], str]) -> None:
    url = new_store_url("postgresql")
    store = Store.open(url)
    wide = build_wide_run(store, N_PUBLISHED, n_contexts=16_384)
    store.close()
    assert wide.run.snapshot_id is not None
    copy_s, n_bytes = measure_bare_copy(url, wide.run.snapshot_id)
    figures = {
        "publishing_s": round(wide.writing_s, 2),
        "copy_s": round(copy_s, 2),
        "ratio": round(wide.writing_s / copy_s, 2),
        "mb": round(n_bytes / 1e6),
    }
    print(figures)
    save_record("publishing", figures, settings={"n_features": N_PUBLISHED, "load_after": load_of_machine()})
