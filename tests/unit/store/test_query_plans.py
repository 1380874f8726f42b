"""Queries that somebody waits for go through an index on both databases: none reads a big table from end to end."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from tests.builders.stored_runs import OCCURRENCES, make_header, make_run, register_inputs
from tests.conftest import DATABASES

from featlas.domain import FailureCause, FeatureState, JobState
from featlas.store import job_views, label_state, labelings, machine_labels, read, responses, reviews, runs, search
from featlas.store.bulk import insert_rows
from featlas.store.column_cache import _Kept, _refreshed, _snapshots
from featlas.store.columns import Columns, StateColumns
from featlas.store.label_state import read_states
from featlas.store.labels import list_labels
from featlas.store.library import fetch_run_of_sae, fetch_sae
from featlas.store.marked_contexts import load_contexts
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter
from featlas.store.tables import (
    ContextRow,
    FeatureActivationsRow,
    FeatureRow,
    FeatureStateRow,
    FeatureTokenRow,
    JobEventRow,
    JobRow,
    LabelRow,
    LlmResponseRow,
    ReviewActionRow,
    Row,
    SnapshotRow,
    label_search_text,
)

N = 20_000
N_JOBS, N_CONTEXTS, N_RUNS = 2000, 4000, 300
BIG = {
    "features",
    "feature_activations",
    "feature_tokens",
    "feature_state",
    "labels",
    "llm_responses",
    "review_actions",
    "jobs",
    "job_events",
    "contexts",
    "runs",
}
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
HASH = "0" * 64
OF_JOB = 1777


def fill(store: Store) -> None:
    """A store in which every table that grows has grown; the rows are small, their numbers are not."""
    inputs = register_inputs(store, d_sae=N)
    of_run = [make_run(store, inputs, name=f"run-{at}") for at in range(3)]
    writer = SnapshotWriter(store, of_run[-1].id, make_header(N), OCCURRENCES)
    snapshot, sae, run = writer.snapshot_id, inputs.sae_id, of_run[-1].id
    with store.write() as session:
        jobs = "id uid kind spec spec_hash state queue attempt cancel_requested pause_requested created_at queued_at"
        put(session, JobRow, jobs, [job(at) for at in range(1, N_JOBS + 1)])
        add_runs(session, of_run[0].id)
        events = [(at, seq, NOW, "started", None) for at in range(1, N_JOBS + 1) for seq in (1, 2)]
        put(session, JobEventRow, "job_id seq at kind payload", events)
        put(session, FeatureRow, FEATURE_COLUMNS, [feature(snapshot, at) for at in range(N)])
        activations = [(snapshot, at, band, 3, b"x" * 40) for at in range(N) for band in ("top", "uniform")]
        put(session, FeatureActivationsRow, "snapshot_id feature_index band n_in_band data", activations)
        tokens = [(snapshot, at, 1, 5, 1, 2.5, 1.0) for at in range(N)]
        tokens += [(snapshot, at, 2, 5, 1, 2.5, 1.0) for at in range(0, N, 500)]
        columns = "snapshot_id feature_index token_id n_fires n_fires_score_split sum max"
        put(session, FeatureTokenRow, columns, tokens)
        texts = "run_id context_index document_index token_offset n_tokens token_ids text ends"
        put(session, ContextRow, texts, [(run, at, 0, 0, 1, b"", b"text", b"") for at in range(N_CONTEXTS)])
        labels = "id uid sae_id feature_index labeling_job_id semantic_label status source failure_cause review_state"
        put(session, LabelRow, f"{labels} lint created_at", [label(sae, at) for at in range(N)])
        state = "sae_id feature_index semantic_label search_text current_label_id review_state lint_flags is_favorite"
        put(session, FeatureStateRow, f"{state} rev", [state_row(sae, at) for at in range(N)])
        answers = [(f"{at:064x}", "openai", f"model-{at % 50}", '{"a":1}', NOW) for at in range(N // 2)]
        put(session, LlmResponseRow, "cache_key provider model response created_at", answers)
        steps = [(f"{at}", sae, at, "skip", f"person {at % 40}", NOW) for at in range(N // 2)]
        put(session, ReviewActionRow, "uid sae_id feature_index action reviewer created_at", steps)
    # As autovacuum leaves a table; SQLite plans by the same rules with and without.
    with store.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM (ANALYZE)")


def add_runs(session: Session, like: int) -> None:
    (one,) = session.execute(sa.select(sa.text("*")).select_from(sa.text("runs")).where(sa.text(f"id = {like}")))
    names = [name for name in one._fields if name != "id"]
    listed = ", ".join(names)
    for at in range(N_RUNS):
        replaced = {"uid": f"'uid-{at}'", "name": f"'more-{at}'", "spec_hash": f"'{at:064x}'"}
        replaced["extraction_job_id"] = str(at + 1)
        chosen = ", ".join(replaced.get(name, name) for name in names)
        session.execute(sa.text(f"INSERT INTO runs ({listed}) SELECT {chosen} FROM runs WHERE id = {like}"))


def put(session: Session, table: type[Row], columns: str, rows: list[tuple[Any, ...]]) -> None:
    insert_rows(session, table, columns.split(), rows)


def job(at: int) -> tuple[Any, ...]:
    state = {3: "running", 7: "queued"}.get(at, "succeeded")
    return (at, f"job-{at}", "labeling", "{}", f"{at:064x}", state, "default", 1, False, False, NOW, NOW)


FEATURE_COLUMNS = (
    "snapshot_id feature_index n_fires n_contexts_fired n_documents_fired sum sum_sq max n_fires_excluded flags groups"
    " histogram peak_histogram position_profile intervals top_tokens"
)
NO_TOKENS = '{"token_id":[],"token":[],"n_fires":[],"n_occurrences":[],"mean_activation":[],"max_activation":[]}'


def feature(snapshot: int, at: int) -> tuple[Any, ...]:
    none = np.zeros(1, dtype="<u4").tobytes()
    return (snapshot, at, 1, 1, 1, 1.0, 1.0, 1.0, 0, 0, b"", none, none, none, "{}", NO_TOKENS)


def label(sae: int, at: int) -> tuple[Any, ...]:
    status, cause = ("failed", "timeout") if at % 1000 == 0 else ("labeled", None)
    job_id = OF_JOB if at < 50 else 1 + at % 1500
    return (at + 1, f"label-{at}", sae, at, job_id, text_of(at), status, "llm", cause, "unreviewed", "[]", NOW)


def text_of(at: int) -> str:
    return f"{'tribunal' if at % 1000 == 0 else 'plain'} number {at}"


def state_row(sae: int, at: int) -> tuple[Any, ...]:
    text = text_of(at)
    return (sae, at, text, label_search_text(text, None), at + 1, "unreviewed", "[]", False, at + 1)


@pytest.fixture(scope="module", params=DATABASES)
def filled(request: pytest.FixtureRequest, new_store_url: Callable[[str], str]) -> Iterator[Store]:
    store = Store.open(new_store_url(request.param))
    fill(store)
    yield store
    store.close()


def newest(session: Session) -> tuple[runs.Run, int]:
    """The run that has a snapshot, as if it were published."""
    run = runs.fetch_run(session, "run-2")
    snapshot = session.scalar(sa.text("SELECT max(id) FROM snapshots"))
    assert snapshot is not None
    return run, snapshot


def ask_rows(session: Session) -> None:
    _, snapshot = newest(session)
    list(read._read_rows(session, snapshot, list(range(3, N, 400))))
    list(read._read_rows(session, snapshot, list(range(100, 150))))


def ask_examples(session: Session) -> None:
    _, snapshot = newest(session)
    session.execute(
        sa.select(FeatureActivationsRow.data).where(
            FeatureActivationsRow.snapshot_id == snapshot, FeatureActivationsRow.feature_index == 77
        )
    )
    load_contexts(session, newest(session)[0].id, range(0, N_CONTEXTS, 100))


def ask_changes(session: Session) -> None:
    none = Columns(1, {}, np.zeros(N, dtype=np.uint32), StateColumns.empty(N))
    found = session.execute(_snapshots().where(SnapshotRow.id == newest(session)[1])).one()
    _refreshed(session, _Kept(none, rev=N - 20), found.rev)


def ask_of_sae(session: Session) -> None:
    sae = fetch_sae(session, "1")
    fetch_run_of_sae(session, sae, "more-7")


QUERIES: dict[str, tuple[Callable[[Session], object], str]] = {
    "rows of a page": (ask_rows, ""),
    "a feature with its examples": (ask_examples, ""),
    "states of a page": (lambda s: read_states(s, 1, list(range(0, N, 400))), ""),
    "labels since a revision": (ask_changes, "ix_feature_state_sae_id_rev"),
    "a rare token": (lambda s: search._find_ids(s, newest(s)[1], [2]), "ix_feature_tokens_snapshot_id_token_id"),
    "a word in labels": (
        lambda s: search.find_text(s, 1, "tribunal"),
        "VIRTUAL TABLE|ix_feature_state_search_text_trgm",
    ),
    "labels of a feature": (lambda s: list_labels(s, FeatureState(1, 77)), "ix_labels_sae_id_feature_index"),
    "newest answers about features": (
        lambda s: machine_labels._read_newest(s, 1, range(0, N, 20)),
        "ix_labels_sae_id_feature_index",
    ),
    "all labels of features": (
        lambda s: label_state._read_standings(s, 1, range(0, N, 20)),
        "ix_labels_sae_id_feature_index",
    ),
    "labels of a job": (lambda s: labelings.list_job_labels(s, OF_JOB), "ix_labels_labeling_job_id|labels"),
    "failures of a job": (
        lambda s: labelings.list_job_labels(s, OF_JOB, cause=FailureCause.TIMEOUT),
        "ix_labels_labeling_job_id|labels",
    ),
    "counts of a job": (lambda s: labelings.count_job_labels(s, OF_JOB), "ix_labels_labeling_job_id_feature_index"),
    "features that a job failed": (lambda s: labelings.list_failed(s, OF_JOB), "ix_labels_sae_id_feature_index"),
    "newest answers of a model": (
        lambda s: responses.list_newest_responses(s, "openai", "model-7"),
        "ix_llm_responses_provider_model_created_at",
    ),
    "an answer": (lambda s: responses.find_response(s, f"{5:064x}"), ""),
    "steps of a reviewer": (lambda s: reviews.list_actions(s, 1, "person 3"), "ix_review_actions_sae_id_reviewer_id"),
    "skips of a reviewer": (lambda s: reviews.find_skipped(s, 1, "person 3"), "ix_review_actions_sae_id_reviewer_id"),
    "progress of a reviewer": (
        lambda s: reviews.fetch_progress(s, 1, "person 3"),
        "ix_review_actions_sae_id_reviewer_id",
    ),
    "newest runs": (lambda s: runs.list_runs(s, limit=20), ""),
    "a run by name": (lambda s: runs.fetch_run(s, "more-7"), "uq_runs_name|autoindex_runs"),
    "runs of a spec": (lambda s: runs.find_runs(s, f"{7:064x}"), "ix_runs_spec_hash"),
    "runs of a job": (lambda s: runs.find_pending_runs(s, 5), "ix_runs_extraction_job_id"),
    "a run of an SAE": (ask_of_sae, ""),
}
STORE_QUERIES: dict[str, tuple[Callable[[Store], object], str]] = {
    "newest jobs": (job_views.list_jobs, ""),
    "jobs by state": (lambda s: job_views.list_jobs(s, states=[JobState.RUNNING]), ""),
    "the next job": (job_views.find_queued, "ix_jobs_state_queue_id"),
    "a job of a spec": (lambda s: job_views.find_unfinished(s, "labeling", f"{5:064x}"), "ix_jobs_kind_spec_hash"),
    "events of a job": (lambda s: job_views.list_events(s, 5), ""),
}


@pytest.mark.parametrize("name", QUERIES)
def test_no_big_table_is_read_from_end_to_end(filled: Store, name: str):
    ask, index = QUERIES[name]
    require_indexed(filled, ask, index)


@pytest.mark.parametrize("name", STORE_QUERIES)
def test_nor_when_jobs_are_asked_for(filled: Store, name: str):
    ask, index = STORE_QUERIES[name]
    require_indexed(filled, lambda _: ask(filled), index)


def test_the_plans_of_this_test_would_show_a_scan(filled: Store):
    with pytest.raises(AssertionError, match="labels"):
        require_indexed(filled, lambda s: s.scalars(sa.select(LabelRow.id).where(LabelRow.explanation == "x")), "")


def require_indexed(store: Store, ask: Callable[[Session], object], index: str) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            asked.append((statement, parameters))

    with store.read() as session:
        sa.event.listen(store.engine, "before_cursor_execute", note)
        try:
            ask(session)
        finally:
            sa.event.remove(store.engine, "before_cursor_execute", note)
        connection = session.connection()
        plans = [plan_of(connection, *one) for one in asked]
    assert asked
    scanned = [
        (table, statement)
        for plan, (statement, _) in zip(plans, asked, strict=True)
        for table in scans(plan, has_limit="LIMIT" in statement)
    ]
    assert scanned == []
    assert re.search(index, "\n".join(plans)), plans


def plan_of(connection: sa.Connection, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    rows = connection.exec_driver_sql(explain + statement, parameters)
    return "\n".join(str(row[-1]) for row in rows)


def scans(plan: str, *, has_limit: bool) -> list[str]:
    """Big tables that are read from end to end. SQLite also says SCAN where it goes back from the newest to a limit."""
    found = re.findall(r"Seq Scan on (\w+)", plan)
    is_newest_first = has_limit and "TEMP B-TREE FOR ORDER BY" not in plan
    for table, how in re.findall(r"^SCAN (\w+)(.*)$", plan, re.M):
        if "VIRTUAL" not in how and not is_newest_first:
            found.append(table)
    return [table for table in found if re.sub(r"_\d+$", "", table) in BIG]
