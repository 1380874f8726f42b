"""The labeling job: a finished run's features get labels from the offline labeler, or an abstention that says why.

    choose → label (range by range, kept on disk) → write

Texts are compared before any is written, so that lint sees what many features share. Nothing is lost by stopping: the
same evidence gives the same answers, and what is already stored is not added again.
"""

import hashlib
import json
import pickle
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.domain import FeatureFlag, LabelStatus
from featlas.explain.evidence import Labeling
from featlas.explain.lexical import PROVIDER, VERSION, label_feature
from featlas.explain.lint import lint_label
from featlas.pipeline.label_evidence import RunEvidence, open_evidence
from featlas.pipeline.registry import JobContext
from featlas.specs import LabelSpec
from featlas.store.artifacts import artifact_name
from featlas.store.atomic_files import disk_errors_named
from featlas.store.column_cache import ColumnCache
from featlas.store.label_state import list_chosen_by_people
from featlas.store.listing import select_features
from featlas.store.machine_labels import LabelingOrigin, MachineLabel, MachineLabelWriter
from featlas.store.runs import Run, fetch_run

FLAGGED = FeatureFlag.DEAD | FeatureFlag.DENSE | FeatureFlag.SINK_ONLY | FeatureFlag.NULL | FeatureFlag.DUPLICATE
"""Features with one of these flags get no label: the flag says what they are."""


def run_labeling(spec: LabelSpec, context: JobContext) -> dict[str, Any]:
    """Label the features of a run that a query matches, leaving out those that are flagged or that people labeled.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: the run is not finished, or its artifact folder is gone.
        JobCancelled, JobPaused: asked to stop; the labels written so far are kept.
    """
    context.progress.phase("reading the corpus", None)
    with context.store.read() as session:
        run = fetch_run(session, spec.run)
    folder = context.artifacts_path / artifact_name(run.spec_hash, run.job_id)
    evidence = open_evidence(context.store, run, folder)
    is_wanted, skipped = _choose(evidence, spec, context)
    spool = _make_spool(folder)
    try:
        n_same = _label(evidence, is_wanted, spec, spool, context)
        counts = _write(run, spool, n_same, int(is_wanted.sum()), context)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    return {"run": run.id, "name": run.name, "n_features": int(is_wanted.sum()), **counts, "n_skipped": skipped}


def _choose(evidence: RunEvidence, spec: LabelSpec, context: JobContext) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Which features get a label or an abstention, and how many of the query's do not, by why. Shape [n_features]."""
    with context.store.read() as session:
        selection = select_features(session, ColumnCache(), evidence.snapshot_id, spec.query)
        chosen_by_people = np.array(list_chosen_by_people(session, evidence.run.sae_id), dtype=np.int64)
    flags = selection.columns.flags
    is_match = np.zeros(len(flags), dtype=bool)
    is_match[selection.matches] = True
    is_peoples = np.zeros(len(flags), dtype=bool)
    is_peoples[chosen_by_people[chosen_by_people < len(flags)]] = True
    is_flagged = (flags & FLAGGED) != 0
    skipped = {
        "human": int((is_match & is_peoples).sum()),
        "flagged": int((is_match & is_flagged & ~is_peoples).sum()),
    }
    return is_match & ~is_peoples & ~is_flagged, skipped


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


def to_machine_label(found: Labeling, n_same: Counter[str]) -> MachineLabel:
    """An answer as the store takes it, linted; `n_same` counts the features of this labeling by the text they got."""
    lint: tuple[str, ...] = ()
    if found.status is LabelStatus.LABELED:
        text = found.semantic_label or ""
        lint = lint_label(text, n_same=n_same[text], n_labels=n_same.total())
    return MachineLabel(
        feature_index=found.feature_index,
        status=found.status,
        source=found.source,
        provider=PROVIDER,
        semantic_label=found.semantic_label,
        category_label=found.category_label,
        explanation=found.explanation,
        evidence_hash=_hash_answer(found, lint),
        evidence=found.evidence,
        lint=lint,
    )


def _hash_answer(found: Labeling, lint: tuple[str, ...]) -> str:
    """sha256 of the labeler's version and all that it answers, which follows from the evidence."""
    answer = [PROVIDER, VERSION, found.source, found.semantic_label, found.category_label, found.explanation]
    text = json.dumps([*answer, found.evidence, lint], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
