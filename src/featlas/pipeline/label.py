"""The labeling job: a finished run's features get labels, or an abstention that says why. Here: the offline labeler's.

    choose → label (range by range, kept on disk) → write

Texts are compared before any is written, so that lint sees what many features share. Nothing is lost by stopping: the
same evidence gives the same answers, and what is already stored is not added again.
"""

import pickle
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.domain import LabelStatus
from featlas.explain.evidence import Labeling
from featlas.explain.lexical import label_feature
from featlas.pipeline.label_asking import ask_for_labels
from featlas.pipeline.label_evidence import RunEvidence, open_evidence
from featlas.pipeline.label_writing import to_machine_label
from featlas.pipeline.registry import JobContext
from featlas.specs import LabelSpec
from featlas.store.artifacts import artifact_name
from featlas.store.atomic_files import disk_errors_named
from featlas.store.label_choice import choose_features
from featlas.store.machine_labels import LabelingOrigin, MachineLabelWriter
from featlas.store.runs import Run, fetch_run


def run_labeling(spec: LabelSpec, context: JobContext) -> dict[str, Any]:
    """Label the features of a run that a query matches, leaving out those that are flagged or that people labeled.

    Raises:
        NotFoundError: there is no such run or template.
        ConflictError: the run is not finished, or its artifact folder is gone.
        InputError: the provider has no key or does not accept it, or a budget in money has no price.
        ExternalError: the provider is out of reach or out of credit; what was answered until then is kept.
        JobCancelled, JobPaused: asked to stop; the labels written so far are kept.
    """
    context.progress.phase("reading the corpus", None)
    with context.store.read() as session:
        run = fetch_run(session, spec.run)
    folder = context.artifacts_path / artifact_name(run.spec_hash, run.job_id)
    evidence = open_evidence(context.store, run, folder)
    if spec.asks_a_language_model:
        return ask_for_labels(spec, evidence, context)
    choice = choose_features(context.store, run, spec, context.job_id)
    n = len(choice.features)
    spool = _make_spool(folder)
    try:
        n_same = _label(evidence, choice.is_wanted, spec, spool, context)
        counts = _write(run, spool, n_same, n, context)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    return {"run": run.id, "name": run.name, "n_features": n, **counts, "n_skipped": choice.skipped}


def _make_spool(folder: Path) -> Path:
    with disk_errors_named(folder):
        return Path(tempfile.mkdtemp(prefix="labels-", dir=folder))


def _label(
    evidence: RunEvidence, is_wanted: NDArray[np.bool_], spec: LabelSpec, spool: Path, context: JobContext
) -> Counter[str]:
    """Label range by range into the spool; how many features got each text."""
    corpus = evidence.corpus
    n_same: Counter[str] = Counter()
    context.progress.phase("labeling", int(is_wanted.sum()), "features")
    for number, features in enumerate(evidence.read_ranges(is_wanted)):
        context.stop.check()
        labelings = [label_feature(feature, corpus, with_rules=spec.rules) for feature in features]
        n_same.update(found.semantic_label for found in labelings if found.semantic_label is not None)
        path = spool / f"{number:06d}.pickle"
        with disk_errors_named(path), path.open("wb") as file:
            pickle.dump(labelings, file, protocol=pickle.HIGHEST_PROTOCOL)
        context.progress.advance(len(features))
    return n_same


def _read_spool(spool: Path) -> Iterator[list[Labeling]]:
    for path in sorted(spool.glob("*.pickle")):
        with path.open("rb") as file:
            yield pickle.load(file)  # our own file, written by this job a moment ago


def _write(run: Run, spool: Path, n_same: Counter[str], n_features: int, context: JobContext) -> dict[str, Any]:
    writer = MachineLabelWriter(context.store, LabelingOrigin(run.sae_id, run.id, context.job_id), context.guard)
    by_source: Counter[str] = Counter()
    n_labeled = n_linted = n_added = 0
    context.progress.phase("writing labels", n_features, "features")
    for labelings in _read_spool(spool):
        context.stop.check()
        labels = [to_machine_label(found, n_same) for found in labelings]
        n_added += writer.add(labels)
        labeled = [label for label in labels if label.status is LabelStatus.LABELED]
        n_labeled += len(labeled)
        n_linted += sum(bool(label.lint) for label in labeled)
        by_source.update(str(label.source) for label in labeled)
        context.progress.advance(len(labels))
    return {
        "n_labeled": n_labeled,
        "n_abstained": n_features - n_labeled,
        "n_linted": n_linted,
        "n_new": n_added,
        "n_by_source": dict(sorted(by_source.items())),
    }
