"""The correlation job on made-up blocks, on both databases: every stored list is what dense columns say."""

import shutil
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import func, select
from tests.builders.correlated_run import BYTES_PER_TILE
from tests.builders.correlating import correlation_context
from tests.builders.made_blocks import Text, make_dense, make_run_with_blocks, save_blocks
from tests.integration.pipeline.workbench import PhaseStop
from tests.oracles.correlation import find_partners

from featlas.domain import Measure, NoMeasure, PartnerLists, Unit
from featlas.errors import ConflictError, JobPaused, NotFoundError
from featlas.pipeline import column_spool, correlate_pairs
from featlas.pipeline.column_spool import spool_columns
from featlas.pipeline.correlate import join_lists, run_correlation
from featlas.pipeline.correlate_pairs import PairCorrelator, cut_tiles
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.specs import CorrelateSpec
from featlas.store import jobs
from featlas.store.artifacts import block_path
from featlas.store.correlations import fetch_correlation, fetch_partners
from featlas.store.run_blocks import RunBlocks, open_run_blocks
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.tables import CorrelationRow, FeaturePartnersRow

N_FEATURES, M = 12, 3
TEXT = Text(n_slots=600, block_slots=128)
DEAD, TWIN, OTHER_TWIN = 0, 2, 3


@pytest.fixture(scope="module")
def dense() -> NDArray[np.float32]:
    return make_dense(TEXT.n_slots, N_FEATURES)


@pytest.fixture
def run(store: Store, tmp_path: Path, dense: NDArray) -> Run:
    return make_run_with_blocks(store, tmp_path, dense, TEXT)


def correlate(store: Store, folder: Path, run: Run, **options: Any) -> dict[str, Any]:
    spec = CorrelateSpec(run=str(run.id), partners=M, **{k: v for k, v in options.items() if k == "unit"})
    rest = {name: value for name, value in options.items() if name not in ("unit", "job_id")}
    job_id = options.get("job_id") or jobs.enqueue(store, "correlation", spec).id
    return run_correlation(spec, correlation_context(store, folder, job_id, **rest))


def stored(store: Store, run: Run, unit: Unit = Unit.TOKEN) -> dict[tuple[int, Measure], tuple[Any, ...]]:
    """Every list in force, as plain numbers."""
    with store.read() as session:
        correlation = fetch_correlation(session, run, unit)
        found = {
            (feature, measure): fetch_partners(session, correlation, feature, measure)
            for feature in range(run.n_features)
            for measure in Measure
        }
    return {
        key: (
            one.reason,
            one.near_duplicate_of,
            one.partner.tolist(),
            one.value.tolist(),
            one.low.tolist(),
            one.n_both.tolist(),
        )
        for key, one in found.items()
    }


def count_rows(store: Store) -> tuple[int, int]:
    with store.read() as session:
        counts = [select(func.count()).select_from(table) for table in (CorrelationRow, FeaturePartnersRow)]
        return session.scalars(counts[0]).one(), session.scalars(counts[1]).one()


def test_stored_partners_are_all_of_the_best(store: Store, tmp_path: Path, run: Run, dense: NDArray):
    result = correlate(store, tmp_path, run)
    counted = dense[TEXT.is_counted]
    assert (result["run"], result["n_units"], result["n_features"]) == (run.id, len(counted), N_FEATURES)
    assert (result["n_dead"], result["n_near_duplicates"], result["is_estimate"]) == (1, 1, False)
    for (feature, measure), found in stored(store, run).items():
        together, avoiding = find_partners(measure, counted, feature, M)
        assert together + avoiding == found[2]
        assert found[0] is (NoMeasure.DEAD if feature == DEAD else None)
        assert found[1] == (TWIN if (feature, measure) == (OTHER_TWIN, Measure.PEARSON) else None)
    assert not list(tmp_path.glob("job-*/correlation-*"))


def test_contexts_count_by_their_strongest_activation(store: Store, tmp_path: Path, run: Run, dense: NDArray):
    result = correlate(store, tmp_path, run, unit="context")
    contexts = (dense * TEXT.is_counted[:, None]).reshape(-1, TEXT.ctx_len, N_FEATURES)
    pooled = contexts.max(axis=1)
    assert result["n_units"] == len(pooled)
    for (feature, measure), found in stored(store, run, Unit.CONTEXT).items():
        assert [*chain(*find_partners(measure, pooled, feature, M))] == found[2]
    with store.read() as session, pytest.raises(NotFoundError, match="were not computed by token"):
        fetch_correlation(session, run, Unit.TOKEN)


def test_again_is_the_same_and_takes_the_place_of_what_was(store: Store, tmp_path: Path, run: Run):
    correlate(store, tmp_path, run)
    first, rows = stored(store, run), count_rows(store)
    correlate(store, tmp_path, run)
    assert first == stored(store, run)
    assert rows == count_rows(store) == (1, N_FEATURES * len(Measure))


def test_without_some_blocks_it_is_an_estimate(store: Store, tmp_path: Path, run: Run, dense: NDArray):
    (folder,) = tmp_path.glob("job-*")
    block_path(folder, 1).unlink()
    result = correlate(store, tmp_path, run)
    assert (result["is_estimate"], result["n_blocks"], result["n_blocks_planned"]) == (True, 4, 5)
    is_kept = np.arange(TEXT.n_slots) // TEXT.block_slots != 1
    counted = dense[TEXT.is_counted & is_kept]
    with store.read() as session:
        correlation = fetch_correlation(session, run, Unit.TOKEN)
    assert (correlation.is_estimate, correlation.share, correlation.facts.n_units) == (True, 0.8, len(counted))
    for (feature, measure), found in stored(store, run).items():
        assert [*chain(*find_partners(measure, counted, feature, M))] == found[2]


def test_without_its_folder_there_is_nothing_to_read(store: Store, tmp_path: Path, run: Run):
    (folder,) = tmp_path.glob("job-*")
    shutil.rmtree(folder / "blocks")
    with pytest.raises(ConflictError, match=r"the files of run .* are not in .*; .* extract the run again"):
        correlate(store, tmp_path, run)
    shutil.rmtree(folder)
    with pytest.raises(ConflictError, match="extract the run again"):
        correlate(store, tmp_path, run)
    with pytest.raises(NotFoundError, match="no run has"):
        run_correlation(CorrelateSpec(run="nobody"), correlation_context(store, tmp_path, None))


def test_a_worker_that_was_given_up_publishes_nothing(store: Store, tmp_path: Path, run: Run):
    def refuse(_session: Any) -> None:
        raise ConflictError("the job was given to another worker")

    with pytest.raises(ConflictError, match="another worker"):
        correlate(store, tmp_path, run, guard=refuse)
    assert count_rows(store) == (0, 0)


@pytest.mark.parametrize("phase", ["reading the blocks", "sorting events by unit", "correlating", "publishing"])
def test_a_paused_job_goes_on_and_ends_in_the_same(
    store: Store, tmp_path: Path, run: Run, phase: str, monkeypatch: pytest.MonkeyPatch
):
    correlate(store, tmp_path, run)
    expected = stored(store, run)
    monkeypatch.setattr(correlate_pairs, "BYTES_PER_TILE", 24 * N_FEATURES * 5)
    spec = CorrelateSpec(run=str(run.id), partners=M)
    job_id = jobs.enqueue(store, "correlation", spec).id
    stopping = PhaseStop(phase, 5 if phase == "correlating" else 0)
    with pytest.raises(JobPaused):
        correlate(store, tmp_path, run, job_id=job_id, progress=stopping, stop=stopping)
    kept = list(tmp_path.glob("job-*/correlation-*/partners-*"))
    assert len(kept) == {"correlating": 1, "publishing": 3}.get(phase, 0)
    assert not list(tmp_path.glob("job-*/correlation-*/columns"))
    assert expected == stored(store, run)
    before = [(path, path.stat().st_mtime_ns) for path in kept]
    again = PhaseStop("publishing")
    with pytest.raises(JobPaused):
        correlate(store, tmp_path, run, job_id=job_id, progress=again, stop=again)
    assert before == [(path, path.stat().st_mtime_ns) for path in kept]
    correlate(store, tmp_path, run, job_id=job_id)
    assert expected == stored(store, run)
    assert count_rows(store) == (1, N_FEATURES * len(Measure))


@pytest.mark.parametrize("phase", ["correlating", "publishing"])
def test_kill_9_leaves_what_was_in_force_and_costs_a_tile(
    store: Store, store_url: str, tmp_path: Path, run: Run, phase: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(correlate_pairs, "BYTES_PER_TILE", BYTES_PER_TILE)
    correlate(store, tmp_path, run)
    expected, rows = stored(store, run), count_rows(store)
    spec = CorrelateSpec(run=str(run.id), partners=M)
    job_id = jobs.enqueue(store, "correlation", spec).id
    arguments = ["-m", "tests.builders.correlated_run", store_url, str(tmp_path), str(job_id)]
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == phase:
                break
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert expected == stored(store, run)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("job-*/correlation-*/partners-*")}
    assert len(kept) == (1 if phase == "correlating" else 3)
    again = PhaseStop("publishing")
    with pytest.raises(JobPaused):
        correlate(store, tmp_path, run, job_id=job_id, progress=again, stop=again)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    correlate(store, tmp_path, run, job_id=job_id)
    assert expected == stored(store, run)
    assert rows == count_rows(store)
    assert not list(tmp_path.glob("job-*/correlation-*"))


def partners_of(blocks: RunBlocks, folder: Path) -> dict[Measure, PartnerLists]:
    spool = spool_columns(blocks, Unit.TOKEN, folder, NoProgress(), NeverStop())
    correlator = PairCorrelator(spool, M, NeverStop())
    parts = [part for tile in cut_tiles(blocks.n_features) for part in correlator.find_partners(*tile)]
    return {measure: join_lists([part[measure] for part in parts]) for measure in Measure}


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([64, 200, 1024]), st.integers(1, 12), st.integers(1, 300), st.integers(1, 2000))
def test_any_cut_of_text_and_features_gives_the_same(
    dense: NDArray, tmp_path_factory: pytest.TempPathFactory, block_slots: int, rows: int, events: int, stretch: int
):
    folder = tmp_path_factory.mktemp("cut")
    save_blocks(folder / "whole", dense, Text(TEXT.n_slots, 1024))
    save_blocks(folder / "cut", dense, Text(TEXT.n_slots, block_slots))
    expected = partners_of(RunBlocks(folder / "whole", [0], 1, 1024, N_FEATURES), folder / "spool")
    n_blocks = -(-TEXT.n_slots // block_slots)
    cut = RunBlocks(folder / "cut", list(range(n_blocks)), n_blocks, block_slots, N_FEATURES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlate_pairs, "BYTES_PER_TILE", 24 * N_FEATURES * rows)
        patch.setattr(correlate_pairs, "CELLS_AT_ONCE", N_FEATURES * max(1, rows // 2))
        patch.setattr(column_spool, "EVENTS_PER_RANGE", events)
        patch.setattr(column_spool, "EVENTS_PER_STRETCH", stretch)
        found = partners_of(cut, folder / "spool")
    shutil.rmtree(folder)
    for measure in Measure:
        np.testing.assert_array_equal(expected[measure].indptr, found[measure].indptr)
        np.testing.assert_array_equal(expected[measure].partner, found[measure].partner)
        np.testing.assert_allclose(expected[measure].value, found[measure].value, rtol=1e-6)
        np.testing.assert_array_equal(expected[measure].near_duplicate_of, found[measure].near_duplicate_of)


def test_damaged_blocks_count_as_gone_where_they_are_looked_at(store: Store, tmp_path: Path, run: Run):
    (folder,) = tmp_path.glob("job-*")
    content = bytearray(block_path(folder, 2).read_bytes())
    content[-1] ^= 1
    block_path(folder, 2).write_bytes(content)
    assert open_run_blocks(run, tmp_path, verify=True).blocks == [0, 1, 3, 4]
    assert open_run_blocks(run, tmp_path, verify=False).blocks == [0, 1, 2, 3, 4]
