"""The labeling job on a whole run, in the test's own process."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.pipeline.conftest import MakeWorkbench, planted_spec
from tests.integration.pipeline.score_split import remove_score_split
from tests.integration.pipeline.workbench import PhaseStop, Workbench

from featlas.domain import LabelSource, LabelStatus
from featlas.errors import ConflictError, JobPaused, NotFoundError
from featlas.explain.lexical import label_feature
from featlas.pipeline.label import run_labeling
from featlas.pipeline.label_evidence import open_evidence
from featlas.specs import LabelSpec
from featlas.store import jobs
from featlas.store.labels import HumanLabel, add_human_label, fetch_state, list_labels
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store
from featlas.testing.planted_sae import DEAD, DENSE, ONE_TOKEN, OTHER_TWIN, SINK_ONLY, Planted


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, make_workbench: MakeWorkbench, planted: Planted, text: Path
) -> Workbench:
    return make_workbench(tmp_path_factory.mktemp("labeled"), **planted_spec(planted, text))


@pytest.fixture(scope="module")
def run(bench: Workbench) -> Run:
    return bench.extract()


def label(bench: Workbench, run: Run, stop: PhaseStop | None = None, **request: Any) -> dict[str, Any]:
    spec = LabelSpec(run=str(run.id), **request)
    job = jobs.enqueue(bench.store, "labeling", spec)
    return run_labeling(spec, bench.context(job.id, stop, stop))


def labels_of(bench: Workbench, run: Run) -> dict[int, list[tuple[Any, ...]]]:
    with bench.store.read() as session:
        return {
            index: [
                (found.source, found.semantic_label, found.evidence_hash)
                for found in list_labels(session, fetch_state(session, run.sae_id, index))
            ]
            for index in range(run.n_features)
        }


def test_flags_get_no_label_and_the_rest_an_answer(bench: Workbench, run: Run):
    result = label(bench, run)
    n_answers = result["n_labeled"] + result["n_abstained"]
    assert result["n_features"] == n_answers == result["n_new"]
    assert result["n_features"] + sum(result["n_skipped"].values()) == run.n_features
    assert result["n_labeled"] == sum(result["n_by_source"].values()) > 0
    assert (result["run"], result["name"]) == (run.id, run.name)
    labels = labels_of(bench, run)
    for flagged in (DEAD, DENSE, SINK_ONLY, OTHER_TWIN):
        assert labels[flagged] == []
    (found,) = labels[ONE_TOKEN]
    assert found[:2] == (LabelSource.RULE, 'the token " the"')
    with bench.store.read() as session:
        state = fetch_state(session, run.sae_id, ONE_TOKEN)
        stored = list_labels(session, fetch_state(session, run.sae_id, ONE_TOKEN))[0]
    assert (state.semantic_label, state.label_source) == ('the token " the"', LabelSource.RULE)
    assert (stored.evidence_run_id, stored.provider, stored.status) == (run.id, "lexical", LabelStatus.LABELED)


def test_labeling_again_adds_nothing_and_spares_what_people_wrote(bench: Workbench, run: Run):
    label(bench, run)
    before = labels_of(bench, run)
    mine = next(index for index, found in before.items() if found and index != ONE_TOKEN)
    add_human_label(bench.store, run.sae_id, mine, HumanLabel("my words"))
    result = label(bench, run)
    assert (result["n_new"], result["n_skipped"]["human"]) == (0, 1)
    after = labels_of(bench, run)
    assert after.pop(mine)[0][:2] == (LabelSource.HUMAN, "my words")
    assert {index: found for index, found in before.items() if index != mine} == after


def test_a_query_chooses_features(bench: Workbench, run: Run):
    result = label(bench, run, query=f"feature_index:{ONE_TOKEN}..{DENSE}")
    assert (result["n_features"], result["n_skipped"]["flagged"]) == (1, 2)


def test_without_rules_the_lexical_part_answers(bench: Workbench, run: Run):
    result = label(bench, run, query=f"feature_index:{ONE_TOKEN}", rules=False)
    assert result["n_by_source"] == {"lexical": 1}
    assert label(bench, run, query=f"feature_index:{ONE_TOKEN}")["n_by_source"] == {"rule": 1}


def test_a_paused_job_keeps_what_it_wrote_and_leaves_no_files(bench: Workbench, run: Run):
    with pytest.raises(JobPaused):
        label(bench, run, PhaseStop("writing labels"))
    with pytest.raises(JobPaused):
        label(bench, run, PhaseStop("labeling"))
    assert not list(bench.artifacts_of(run).glob("labels-*"))
    assert label(bench, run)["n_features"] > 0


def test_what_cannot_be_labeled_is_refused(bench: Workbench, run: Run, tmp_path: Path):
    with pytest.raises(NotFoundError, match="no run has"):
        run_labeling(LabelSpec(run="nobody"), bench.context(1))
    with bench.store.read() as session:
        found = fetch_run(session, run.id)
    with pytest.raises(ConflictError, match=r"are not in .*extract the run again"):
        open_evidence(bench.store, found, tmp_path / "gone")


def test_labels_do_not_depend_on_the_score_split(bench: Workbench, run: Run, tmp_path: Path):
    """Every trace of the score split is taken out of every input; every answer stays the same, byte for byte."""
    folder = tmp_path / "artifacts"
    shutil.copytree(bench.artifacts_of(run), folder)
    with bench.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(bench.folder / "featlas.db", tmp_path / "featlas.db")
    store = Store.open(f"sqlite:///{tmp_path / 'featlas.db'}")
    remove_score_split(store, folder)
    assert answers(bench.store, run, bench.artifacts_of(run)) == answers(store, run, folder)
    store.close()


def answers(store: Store, run: Run, folder: Path) -> list[str]:
    with store.read() as session:
        evidence = open_evidence(store, fetch_run(session, run.id), folder)
    assert run.header is not None
    found = [
        json.dumps(asdict(label_feature(feature, evidence.corpus)), sort_keys=True)
        for part in evidence.read_ranges(np.ones(run.header.n_features, dtype=bool))
        for feature in part
    ]
    assert len(found) == run.header.n_features
    assert sum('"labeled"' in answer for answer in found) > 3
    return found
