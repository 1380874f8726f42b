"""The measurement of a million features at a size that takes seconds: every question is answered on both databases."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.scale import SORTS, Size, build_scale, measure_answers, measure_bare_copy

SMALL = Size(n_features=3000, n_with_examples=400, n_contexts=512)


def test_every_question_of_the_measurement_is_answered(
    new_store_url: Callable[[str], str], dialect: str, tmp_path: Path
):
    url = new_store_url(dialect)
    wide = build_scale(url, SMALL)
    assert wide.n_labeled == SMALL.n_features
    figures = measure_answers(tmp_path, url, wide, SMALL, n_times=1, sorts=SORTS[:1])
    assert set(figures) > {"first_page_slowest_ms", "last_page_slowest_ms", "feature_ms", "search_common_word_ms"}
    assert min(figures.values()) > 0
    if dialect == "postgresql":
        assert wide.run.snapshot_id is not None
        seconds, n_bytes = measure_bare_copy(url, wide.run.snapshot_id)
        assert seconds > 0
        assert n_bytes > 1_000_000
