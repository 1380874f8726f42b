"""The label split's share of a run's token tables, feature by feature and over several files."""

from pathlib import Path

import numpy as np
import pytest
from tests.builders.stored_runs import make_token_rows

from featlas.domain import Split, TokenRows
from featlas.errors import NotFoundError
from featlas.store.artifacts import save_table
from featlas.store.token_tables import OCCURRENCES, TOKEN_TABLES, LabelTokenTables, read_occurrences


def save_rows(folder: Path, *parts: TokenRows) -> LabelTokenTables:
    for number, rows in enumerate(parts):
        save_table(folder, f"{TOKEN_TABLES}{number:06d}", vars(rows))
    save_table(folder, "another", {"x": np.zeros(3)})
    return LabelTokenTables(folder)


def test_a_feature_has_the_events_of_the_label_split(tmp_path: Path):
    found = save_rows(tmp_path, make_token_rows(np.array([0, 3]))).read(3)
    # 8, 8 and 1 events, 4, 4 and 0 of the score split; sums of a half each, a quarter of the score split.
    assert found.token_id.tolist() == [2, 3, 8]
    assert found.n_fires.tolist() == [4, 4, 1]
    assert found.sum.tolist() == [2.0, 2.0, 0.25]


def test_features_are_found_over_several_files_in_any_order(tmp_path: Path):
    parts = [make_token_rows(np.array(features)) for features in ([0, 2], [3], [5, 6, 9])]
    tables = save_rows(tmp_path, *parts)
    for feature in (9, 0, 5, 3, 2, 6, 0):
        n = feature + 5
        assert tables.read(feature).n_fires.tolist() == [n - n // 2, n - n // 2, 1]


@pytest.mark.parametrize("feature", [1, 4, 7, 10, 1000])
def test_a_feature_without_rows_has_no_tokens(tmp_path: Path, feature: int):
    parts = [make_token_rows(np.array(features)) for features in ([0, 2], [3], [5, 6, 9])]
    found = save_rows(tmp_path, *parts).read(feature)
    assert (len(found.token_id), len(found.n_fires), len(found.sum)) == (0, 0, 0)


def test_tokens_without_an_event_on_the_label_split_are_left_out(tmp_path: Path):
    rows = make_token_rows(np.array([3]))
    rows.n_fires_score_split[:] = [8, 0, 1]
    found = save_rows(tmp_path, rows).read(3)
    assert (found.token_id.tolist(), found.n_fires.tolist()) == ([3], [8])


def test_a_range_without_rows_does_not_hide_those_behind_it(tmp_path: Path):
    empty = make_token_rows(np.zeros(0, dtype=np.int64))
    tables = save_rows(tmp_path, make_token_rows(np.array([0])), empty, make_token_rows(np.array([7])))
    assert tables.read(7).n_fires.tolist() == [6, 6, 1]


def test_a_folder_without_tables_has_no_tokens(tmp_path: Path):
    assert len(LabelTokenTables(tmp_path).read(0).token_id) == 0


def test_occurrences_come_by_split(tmp_path: Path):
    with pytest.raises(NotFoundError, match=OCCURRENCES):
        read_occurrences(tmp_path, Split.LABEL)
    save_table(tmp_path, OCCURRENCES, {"label": np.array([1, 2]), "score": np.array([3, 4])})
    assert read_occurrences(tmp_path, Split.LABEL).tolist() == [1, 2]
    assert read_occurrences(tmp_path, Split.SCORE).tolist() == [3, 4]
