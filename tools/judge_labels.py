"""Say how many of a run's offline labels are true on text that the labeler never saw, and how many are chance.

    FEATLAS_HOME=… python -m tools.judge_labels RUN [--query Q] [--show 20] [--save]

Labels every live feature of a finished run in memory, and the null features (random directions) by the same code; turns
each label into a test of positions (`explain/detectors.py`) and measures on the score split how well the test tells
where the feature fires: balanced accuracy = (recall + 1 − false positive rate) / 2. The interval is clustered by
document: delete-a-group jackknife over the 16 document groups, 95 %. A label counts as true where the lower bound is
0.7 or more; features that fire in fewer than 10 documents of the score split are not rated and count as not true.
Nothing is stored. Topics of documents, which the labeler does not read, judge the labels of kind Topic.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tools.judge_sae import document_topics
from tools.record import save_record

from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays
from featlas.core.intervals import jackknife_t
from featlas.core.windows import counted_slots
from featlas.domain import N_GROUPS, FeatureFlag, LabelStatus, Split
from featlas.entry.worker import load_settings
from featlas.explain.detectors import holds_at
from featlas.explain.evidence import Labeling
from featlas.explain.lexical import label_feature
from featlas.pipeline.describe_run import add_up_blocks, choose_ranges, read_chunks
from featlas.pipeline.label_evidence import RunEvidence, open_evidence
from featlas.pipeline.plan import Plan
from featlas.store.artifacts import artifact_name
from featlas.store.column_cache import ColumnCache
from featlas.store.label_choice import FLAGGED
from featlas.store.listing import select_features
from featlas.store.runs import fetch_run
from featlas.store.session import Store

GOOD_ACCURACY = 0.7
MIN_DOCUMENTS = 10


@dataclass(frozen=True)
class ScoreText:
    """The score split's contexts one after another; `is_counted` leaves out sinks and the like. Shapes [n]."""

    slot: NDArray[np.int64]
    token_ids: NDArray[np.int64]
    position: NDArray[np.int64]
    document: NDArray[np.int64]
    group: NDArray[np.int64]
    is_counted: NDArray[np.bool_]


@dataclass(frozen=True)
class Accuracy:
    """Balanced accuracy of a label's test on the score split; `low` is None where too few documents fire."""

    value: float
    low: float | None


def read_text(corpus: CorpusArrays, split: Split) -> ScoreText:
    """All contexts of one split."""
    is_split = corpus.document_split[corpus.context_document] == split
    context = np.flatnonzero(is_split)
    n = corpus.context_n[context]
    first = np.repeat(corpus.context_slot[context], n)
    position = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    slot = first + position
    document = np.repeat(corpus.context_document[context], n).astype(np.int64)
    counted = np.concatenate([np.zeros(0, np.int64), *(counted_slots(corpus, c, c + 1) for c in context.tolist())])
    return ScoreText(
        slot=slot,
        token_ids=np.asarray(corpus.token_ids[slot], dtype=np.int64),
        position=position,
        document=document,
        group=corpus.document_group[document].astype(np.int64),
        is_counted=np.isin(slot, counted),
    )


def rate(holds: NDArray[np.bool_], fires: NDArray[np.bool_], text: ScoreText) -> Accuracy:
    """Balanced accuracy over the counted positions, with its lower 95 % bound clustered by document."""
    counts = np.stack([fires & holds, fires, holds & ~fires, ~fires]) & text.is_counted
    by_group = np.stack([np.bincount(text.group, weights=row, minlength=N_GROUPS) for row in counts])
    total = by_group.sum(axis=1)
    value = float(_accuracy(total))
    if len(np.unique(text.document[fires & text.is_counted])) < MIN_DOCUMENTS:
        return Accuracy(value, None)
    has_tokens = np.bincount(text.group, minlength=N_GROUPS) > 0
    deleted = _accuracy(total[:, None] - by_group)
    half = float(jackknife_t(deleted[None, :], has_tokens[None, :])[0])
    return Accuracy(value, value - half)


def _accuracy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    n_hit, n_fires, n_false, n_silent = counts
    return (n_hit / np.maximum(n_fires, 1) + 1 - n_false / np.maximum(n_silent, 1)) / 2


def read_firings(plan: Plan, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Every feature with the slots at which it fires."""
    blocks = list(range(plan.n_blocks))
    for first, last in ranges:
        slots: list[list[NDArray[np.int64]]] = [[] for _ in range(first, last)]
        for chunk in read_chunks(plan, blocks, first, last):
            for feature in range(last - first):
                slots[feature].append(chunk.slot[chunk.indptr[feature] : chunk.indptr[feature + 1]])
        for feature in range(last - first):
            yield first + feature, np.concatenate(slots[feature])


def judge(evidence: RunEvidence, is_judged: NDArray[np.bool_], n_real: int) -> tuple[dict[str, Any], list[Any]]:
    """All figures, and every labeled feature with its label and accuracy."""
    plan = evidence.plan
    cause = np.array(plan.corpus().cause)
    n_events = add_up_blocks(plan, list(range(plan.n_blocks)), len(is_judged), cause).n_events
    corpus = replace(plan.corpus(), cause=cause)
    labelings = {
        found.feature_index: found
        for part in evidence.read_ranges(is_judged)
        for found in (label_feature(feature, evidence.corpus) for feature in part)
    }
    text = read_text(corpus, Split.SCORE)
    words = evidence.corpus.words
    rated: list[tuple[Labeling, Accuracy]] = []
    for feature, slots in read_firings(plan, choose_ranges(n_events)):
        found = labelings.get(feature)
        if found is not None and found.status is LabelStatus.LABELED:
            holds = holds_at(found.evidence["detector"], text.token_ids, text.position, words)
            rated.append((found, rate(holds, np.isin(text.slot, slots), text)))
    is_real = np.arange(len(is_judged)) < n_real
    figures = {
        **_shares("features", rated, lambda index: index < n_real, int((is_judged & is_real).sum())),
        **_shares("null", rated, lambda index: index >= n_real, int((is_judged & ~is_real).sum())),
        **judge_topics(evidence, corpus, [found for found, _ in rated if found.feature_index < n_real]),
    }
    return figures, rated


def _shares(name: str, rated: list[tuple[Labeling, Accuracy]], is_mine: Any, n: int) -> dict[str, Any]:
    mine = [accuracy for found, accuracy in rated if is_mine(found.feature_index)]
    lows = [accuracy.low for accuracy in mine if accuracy.low is not None]
    n_true = sum(low >= GOOD_ACCURACY for low in lows)
    figures: dict[str, Any] = {
        f"n_{name}": n,
        f"n_{name}_labeled": len(mine),
        f"n_{name}_rated": len(lows),
        f"n_{name}_true": n_true,
        f"share_of_{name}_labeled": len(mine) / max(n, 1),
        f"share_of_{name}_true": n_true / max(n, 1),
    }
    if mine:
        figures[f"{name}_median_accuracy"] = float(np.median([accuracy.value for accuracy in mine]))
    if lows:
        figures[f"share_of_rated_{name}_labels_true"] = n_true / len(lows)
    return figures


def judge_topics(evidence: RunEvidence, corpus: CorpusArrays, found: list[Labeling]) -> dict[str, Any]:
    """Precision of topic labels: the topic is picked on the label split's documents, measured on the score split's."""
    topics = document_topics(evidence.plan)
    texts = {split: read_text(corpus, split) for split in Split}
    shares, chances = [], []
    for label in found:
        detector = label.evidence["detector"]
        if detector["kind"] != "context_words":
            continue
        held = {
            split: np.unique(text.document[holds_at(detector, text.token_ids, text.position, evidence.corpus.words)])
            for split, text in texts.items()
        }
        known = {split: topics[documents][topics[documents] >= 0] for split, documents in held.items()}
        is_topical = 2 * len(known[Split.LABEL]) >= len(held[Split.LABEL]) > 0
        if not is_topical or len(known[Split.SCORE]) == 0:
            continue  # most of its documents have no topic: code or recipes, which topics cannot judge
        topic = Counter(known[Split.LABEL].tolist()).most_common(1)[0][0]
        everywhere = topics[np.unique(texts[Split.SCORE].document)]
        shares.append(float((known[Split.SCORE] == topic).mean()))
        chances.append(float((everywhere[everywhere >= 0] == topic).mean()))
    if not shares:
        return {"n_topic_labels_judged": 0}
    return {
        "n_topic_labels_judged": len(shares),
        "topic_precision_mean": float(np.mean(shares)),
        "topic_precision_by_chance": float(np.mean(chances)),
    }


def print_some(rated: list[tuple[Labeling, Accuracy]], n_real: int, n: int) -> None:
    """Labels drawn by hash, each with its measured accuracy."""
    real = [pair for pair in rated if pair[0].feature_index < n_real]
    order = np.argsort(hash_arrays(1, np.array([found.feature_index for found, _ in real])), kind="stable")
    for at in order[:n].tolist():
        found, accuracy = real[at]
        low = "–" if accuracy.low is None else f"{accuracy.low:.2f}"
        text = f"{found.semantic_label}  [{found.category_label}]"
        print(f"{found.feature_index:>6}  {accuracy.value:.2f} (≥ {low})  {text}")
        print(f"        {found.explanation}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--query", default="(is:null OR -is:null)")
    parser.add_argument("--show", type=int, default=20)
    parser.add_argument("--save", action="store_true", help="keep the figures as a record in docs/records")
    options = parser.parse_args()
    settings = load_settings()
    store = Store.open(settings.store_url)
    with store.read() as session:
        run = fetch_run(session, options.run)
        evidence = open_evidence(store, run, settings.artifacts_path / artifact_name(run.spec_hash, run.job_id))
        selection = select_features(session, ColumnCache(), evidence.snapshot_id, options.query)
    flags = selection.columns.flags
    is_judged = np.zeros(len(flags), dtype=bool)
    is_judged[selection.matches] = True
    is_judged &= (flags & (FLAGGED & ~FeatureFlag.NULL)) == 0
    figures, rated = judge(evidence, is_judged, run.n_features)
    store.close()
    print_some(rated, run.n_features, options.show)
    print(json.dumps(figures, indent=1))
    if options.save:
        save_record("labels", figures, settings={"good_accuracy": GOOD_ACCURACY, "min_documents": MIN_DOCUMENTS})


if __name__ == "__main__":
    main()
