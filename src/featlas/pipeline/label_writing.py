"""Turns what the offline labeler answers into what the store keeps."""

import hashlib
import json
from collections import Counter

from featlas.domain import LabelStatus
from featlas.explain.evidence import Labeling
from featlas.explain.lexical import PROVIDER, VERSION
from featlas.explain.lint import lint_label
from featlas.store.machine_labels import MachineLabel


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
