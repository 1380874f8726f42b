"""Many features and everything that goes wrong: every answer right, every failure under its cause."""

from collections import Counter
from pathlib import Path

from tests.builders.made_texts import made_documents
from tests.integration.pipeline.conftest import MakeWorkbench
from tests.integration.pipeline.desk import make_desk

from featlas.domain import FailureCause, LabelSource, LabelStatus
from featlas.testing.chat_scripts import (
    MIXED_FAILED,
    answer_mixed,
    label_answer,
    mixed_kind,
)
from featlas.testing.planted_sae import Planted

CAUSE_OF = {"refuse": FailureCause.REFUSED, "truncate": FailureCause.TRUNCATED, "broken": FailureCause.BAD_ANSWER}


def check_that_each_feature_gets_its_answer(
    provider: str, folder: Path, make_workbench: MakeWorkbench, planted: Planted, d_sae: int
) -> int:
    """Label a run of so many features at a server of which much goes wrong; how many had a label to get."""
    open_desk = make_desk(folder, make_workbench, planted, d_sae, made_documents(120))
    with open_desk(answer_mixed) as desk:
        result, job_id = desk.label(provider=provider)
        labels = desk.labels(job_id)
        roots = Counter(request.root for request in desk.chat.requests)
    assert result["n_features"] == len(labels)
    silent = {feature for feature, label in labels.items() if label.evidence == {"n_fires": 0}}
    assert {labels[feature].status for feature in silent} <= {LabelStatus.ABSTAINED}
    expected = desk.prompts(labels.keys() - silent)
    assert set(expected.values()) == set(roots)
    for feature, label in labels.items():
        if feature in silent:
            continue
        kind = mixed_kind(expected[feature])
        if kind in MIXED_FAILED:
            assert (label.status, label.failure_cause) == (LabelStatus.FAILED, CAUSE_OF[kind])
            assert label.semantic_label is None
        else:
            assert label.status is LabelStatus.LABELED
            assert label.semantic_label is not None
            assert label.semantic_label in label_answer(expected[feature])
            assert (label.source, label.provider) == (LabelSource.LLM, provider)
            assert label.response_key == label.evidence_hash
    by_cause = Counter(str(label.failure_cause) for label in labels.values() if label.failure_cause)
    assert dict(by_cause) == result["n_by_cause"]
    assert result["n_requests"] == len(desk.chat.requests)
    return len(labels)
