"""What the judge of the demo SAE counts as a topic, and which documents it looks at."""

import dataclasses
from types import SimpleNamespace

import numpy as np
from tools.judge_sae import document_topics, strongest_of_both

from featlas.core.concentration import DocumentPeakRows


def _topics(*documents: dict[str, str]) -> list[int]:
    plan = SimpleNamespace(documents=lambda: ({"metadata": document} for document in documents))
    return document_topics(plan).tolist()  # pyright: ignore[reportArgumentType]


def test_topics_are_numbered_where_their_source_has_several() -> None:
    wiki = [{"source": "wiki", "topic": topic} for topic in ("Biology", "Art", "Biology")]
    assert _topics(*wiki) == [1, 0, 1]


def test_the_only_topic_of_a_source_is_the_source_by_another_name() -> None:
    assert _topics({"source": "code", "topic": "Python"}, {"source": "code", "topic": "Python"}) == [-1, -1]


def test_a_topic_counts_by_source() -> None:
    rows = [("wiki", "Art"), ("wiki", "Law"), ("mail", "Art"), ("mail", "Art")]
    assert _topics(*({"source": source, "topic": topic} for source, topic in rows)) == [0, 1, -1, -1]


def test_missing_and_uncategorised_topics_are_unknown() -> None:
    rows = [{"source": "wiki", "topic": "Art"}, {"source": "wiki", "topic": "Law"}]
    assert _topics(*rows, {"source": "wiki"}, {"source": "wiki", "topic": "Uncategorized"}, {}) == [0, 1, -1, -1, -1]


@dataclasses.dataclass(frozen=True)
class _Corpus:
    """Ten documents of one context of one slot each."""

    n_documents: int = 10
    context_document: np.ndarray = dataclasses.field(default_factory=lambda: np.arange(10))
    context_of_slot: np.ndarray = dataclasses.field(default_factory=lambda: np.arange(10))


def test_the_strongest_documents_of_both_splits_are_one_list() -> None:
    top = np.array([[[4, 0, -1], [7, 1, -1]], [[2, -1, -1], [-1, -1, -1]]])
    rows = [(0, 0, 1.0), (0, 1, 5.0), (0, 4, 3.0), (0, 7, 9.0), (1, 2, 1.0)]
    feature, document, size = (np.array(column) for column in zip(*rows, strict=True))
    peaks = DocumentPeakRows(feature, document, size.astype(np.float32))
    found = strongest_of_both(top, peaks, _Corpus())  # pyright: ignore[reportArgumentType]
    assert found.tolist() == [[7, 1, 4, 0, -1, -1], [2, -1, -1, -1, -1, -1]]
