import numpy as np
import pytest
from sqlalchemy import select
from tests.builders.stored_runs import (
    CONTEXTS,
    N_VOCAB,
    OCCURRENCES,
    OF_SNAPSHOT,
    TOKENS,
    begin_snapshot,
    count_rows,
    fetch_again,
    make_batch,
    make_columns,
    make_contexts,
    make_header,
    make_run,
    publish_run,
    register_inputs,
)

from featlas.domain import RunState
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.blobs import unpack_array, unpack_groups, unpack_sparse
from featlas.store.read import fetch_feature
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter
from featlas.store.tables import (
    ContextRow,
    FeatureColumnRow,
    FeatureRow,
    FeatureTokenRow,
    SnapshotRow,
)


@pytest.fixture
def run(store: Store) -> Run:
    return make_run(store, register_inputs(store))


def test_a_published_snapshot_is_in_force_and_finishes_the_run(store: Store, run: Run):
    writer = publish_run(store, run)
    found = fetch_again(store, run)
    assert (found.snapshot_id, found.state) == (writer.snapshot_id, RunState.FINISHED)
    assert found.finished_at is not None
    assert found.header is not None
    np.testing.assert_array_equal(make_header(6).histogram_edges, found.header.histogram_edges)
    with store.read() as session:
        row = session.get_one(SnapshotRow, writer.snapshot_id)
        assert (row.seq, row.is_partial, row.n_positions, row.n_excluded) == (1, False, 15, {"bos": 2, "sink": 0})
        assert row.published_at is not None


def test_a_partial_snapshot_leaves_the_run_pending(store: Store, run: Run):
    publish_run(store, run, is_partial=True)
    found = fetch_again(store, run)
    assert (found.state, found.finished_at) == (RunState.PENDING, None)
    assert found.header is not None
    assert found.header.is_partial


def test_nothing_is_seen_before_publishing(store: Store, run: Run):
    first = publish_run(store, run, is_partial=True)
    begin_snapshot(store, run)
    assert fetch_again(store, run).snapshot_id == first.snapshot_id


def test_publishing_drops_the_older_snapshot_and_all_its_rows(store: Store, run: Run):
    publish_run(store, run, is_partial=True)
    before = count_rows(store)
    second = publish_run(store, run)
    assert count_rows(store) == before
    with store.read() as session:
        for table in OF_SNAPSHOT:
            assert set(session.scalars(select(table.snapshot_id))) == {second.snapshot_id}
        assert session.scalars(select(SnapshotRow.seq)).all() == [2]


def test_a_reader_goes_on_seeing_the_snapshot_it_started_with(store: Store, run: Run):
    publish_run(store, run, is_partial=True)
    with store.read() as session:
        old = fetch_run(session, run.id)
        publish_run(store, run)
        assert fetch_feature(session, old, 2).n_fires == 12


def test_snapshots_of_other_runs_are_left_alone(store: Store, run: Run):
    other = make_run(store, register_inputs(store))
    publish_run(store, other)
    publish_run(store, run)
    publish_run(store, run)
    assert fetch_again(store, other).snapshot_id is not None
    assert count_rows(store)["features"] == 12


def test_counts_and_blobs_of_a_feature_are_those_of_its_batch(store: Store, run: Run):
    writer = publish_run(store, run)
    batch = make_batch(0, 6, dead=frozenset({1}))
    with store.read() as session:
        for at in range(6):
            row = session.get_one(FeatureRow, (writer.snapshot_id, at))
            assert (row.n_fires, row.n_contexts_fired) == (batch.n_fires[at], batch.n_contexts_fired[at])
            assert (row.n_documents_fired, row.sum) == (batch.n_documents_fired[at], batch.sum[at])
            assert (row.sum_sq, row.n_fires_excluded) == (batch.sum_sq[at], batch.n_fires_excluded[at])
            assert (row.max is None, row.flags) == (at == 1, batch.flags[at])
            assert row.duplicate_of == (0 if at == 3 else None)
            assert row.max_excluded == (None if at % 3 == 0 else 9.0)
            np.testing.assert_array_equal(batch.histogram[at], unpack_sparse(row.histogram))
            np.testing.assert_array_equal(batch.peak_histogram[at].ravel(), unpack_sparse(row.peak_histogram))
            np.testing.assert_array_equal(batch.position_profile[at].ravel(), unpack_sparse(row.position_profile))
            n_fires, total = unpack_groups(row.groups)
            np.testing.assert_array_equal(batch.group_n_fires[at], n_fires)
            np.testing.assert_array_equal(batch.group_sum[at], total)


def test_token_rows_are_those_of_the_batch(store: Store, run: Run):
    writer = publish_run(store, run)
    rows = make_batch(0, 6, dead=frozenset({1})).top_tokens
    with store.read() as session:
        found = session.scalars(
            select(FeatureTokenRow).order_by(FeatureTokenRow.feature_index, FeatureTokenRow.token_id)
        )
        actual = [
            (r.snapshot_id, r.feature_index, r.token_id, r.n_fires, r.n_fires_score_split, r.sum, r.max) for r in found
        ]
    columns = (rows.feature_index, rows.token_id, rows.n_fires, rows.n_fires_score_split, rows.sum, rows.max)
    assert actual == [(writer.snapshot_id, *row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def test_contexts_hold_ids_bytes_and_ends_and_are_written_once(store: Store, run: Run):
    writer = SnapshotWriter(store, run.id, make_header(6), OCCURRENCES)
    writer.add_contexts(make_contexts((1, 2)))
    writer.add_contexts(make_contexts((0, 1, 2, 3)))
    with store.read() as session:
        rows = session.scalars(select(ContextRow).order_by(ContextRow.context_index)).all()
    assert len(rows) == 4
    for row, ids in zip(rows, CONTEXTS, strict=True):
        tokens = [TOKENS[token] for token in ids]
        assert (row.n_tokens, row.token_offset) == (len(ids), 100 * row.context_index)
        assert unpack_array(row.token_ids, "u4").tolist() == ids
        assert row.text == b"".join(tokens)
        assert unpack_array(row.ends, "u4").tolist() == np.cumsum([len(token) for token in tokens]).tolist()


def test_columns_keep_their_type_and_order(store: Store, run: Run):
    writer = publish_run(store, run)
    with store.read() as session:
        rows = {row.name: row for row in session.scalars(select(FeatureColumnRow))}
    for name, expected in make_columns(make_batch(0, 6, dead=frozenset({1}))).items():
        row = rows[name]
        assert (row.snapshot_id, row.dtype) == (writer.snapshot_id, expected.dtype.str)
        np.testing.assert_array_equal(expected, unpack_array(row.data, row.dtype))


def test_a_snapshot_without_all_its_features_is_not_published(store: Store, run: Run):
    writer = SnapshotWriter(store, run.id, make_header(6), OCCURRENCES)
    writer.add_features(make_batch(0, 5))
    writer.add_columns(make_columns(make_batch(0, 6)))
    with pytest.raises(ConflictError, match="has 5 of 6 features"):
        writer.publish()
    assert fetch_again(store, run).snapshot_id is None


def test_a_snapshot_without_a_needed_column_is_not_published(store: Store, run: Run):
    writer = begin_snapshot(store, run)
    columns = make_columns(make_batch(0, 6))
    del columns["mean_activation"], columns["flags"]
    writer.add_columns(columns)
    with pytest.raises(ConflictError, match="lacks the columns flags, mean_activation"):
        writer.publish()
    assert fetch_again(store, run).snapshot_id is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(5), r"shape \(5,\); expected one number for each of 6"),
        (np.zeros((6, 1)), r"shape \(6, 1\)"),
        (np.array(["a"] * 6), "has the type <U1"),
        (np.zeros(6, dtype=complex), "has the type complex128"),
    ],
)
def test_a_column_that_is_not_one_number_per_feature_is_refused(
    store: Store, run: Run, values: np.ndarray, message: str
):
    with pytest.raises(InputError, match=message):
        begin_snapshot(store, run).add_columns({"odd": values})


def test_truth_values_become_bytes_and_foreign_byte_order_is_turned(store: Store, run: Run):
    begin_snapshot(store, run).add_columns({"yes": np.arange(6) > 3, "big": np.arange(6, dtype=">i4")})
    with store.read() as session:
        rows = {
            row.name: unpack_array(row.data, row.dtype).tolist() for row in session.scalars(select(FeatureColumnRow))
        }
    assert rows == {"yes": [0, 0, 0, 0, 1, 1], "big": [0, 1, 2, 3, 4, 5]}


def test_tokens_outside_the_vocabulary_are_refused(store: Store, run: Run):
    writer = SnapshotWriter(store, run.id, make_header(6), OCCURRENCES)
    contexts = make_contexts()
    contexts.token_ids[0] = N_VOCAB
    with pytest.raises(InputError, match=f"token id {N_VOCAB} is not in the vocabulary of {N_VOCAB}"):
        writer.add_contexts(contexts)
    batch = make_batch(0, 6)
    batch.top_tokens.token_id[0] = N_VOCAB
    with pytest.raises(InputError, match="not in the vocabulary"):
        writer.add_features(batch)


def test_token_counts_of_another_vocabulary_are_refused(store: Store, run: Run):
    with pytest.raises(InputError, match=f"counts of 3 tokens for a vocabulary of {N_VOCAB}"):
        SnapshotWriter(store, run.id, make_header(6), np.ones(3, dtype=np.int64))


def test_rows_of_features_outside_the_batch_are_refused(store: Store, run: Run):
    writer = SnapshotWriter(store, run.id, make_header(6), OCCURRENCES)
    batch = make_batch(0, 3)
    batch.examples.extend(make_batch(3, 1).examples)
    with pytest.raises(InputError, match="holds examples of features outside of it"):
        writer.add_features(batch)
    batch = make_batch(0, 3)
    batch.top_tokens.feature_index[-3:] = 9
    with pytest.raises(InputError, match="holds top tokens of features outside of it"):
        writer.add_features(batch)


def test_a_snapshot_of_an_unknown_run_is_refused(store: Store):
    with pytest.raises(NotFoundError, match="there is no run 5"):
        SnapshotWriter(store, 5, make_header(1), OCCURRENCES)
