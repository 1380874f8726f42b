"""The offline labeler: says in a few words what a feature's tokens, neighbours or contexts share, or abstains.

No language model, no network, no chance: the same evidence gives the same answer. It abstains where no pattern passes
its bar, because most random directions have some pattern too; the bars are where few of them pass
(docs/statistics.md).
"""

from typing import Any

from featlas.domain import LabelSource, LabelStatus
from featlas.explain.corpus_evidence import CorpusEvidence
from featlas.explain.evidence import FeatureEvidence, Found, Labeling
from featlas.explain.neighbour_patterns import find_neighbour_patterns
from featlas.explain.phrases import listed, percent
from featlas.explain.rules import MIN_FIRES, find_rule
from featlas.explain.token_patterns import FEW_WORDS, find_token_patterns
from featlas.explain.topic_patterns import Topic, find_topic

PROVIDER = "lexical"
VERSION = 1
"""Part of every answer's hash: raise it with any change of patterns, bars or wording."""

MIN_F1, MIN_F1_LONG_LIST = 0.5, 0.6
MIN_RECALL = 0.45
MIN_WIDE_RECALL, MIN_WIDE_PRECISION = 0.7, 0.1
"""A wide pattern, which holds of most firings but of many other places too, passes by these."""

LOOSE_BELOW = 0.5
"""With a lower precision the label says `some …`: the feature is silent at most places of the pattern."""

MIN_TOPIC_RECALL, MAX_TOPIC_COVERAGE, MIN_TOPIC_LIFT = 0.7, 0.15, 6.0


def label_feature(feature: FeatureEvidence, corpus: CorpusEvidence, *, with_rules: bool = True) -> Labeling:
    """The label of a feature by rule, else by its best pattern above the bar, else an abstention that says why."""
    ruled = label_by_rule(feature, corpus) if with_rules else None
    if ruled is not None:
        return ruled
    if feature.n_fires < MIN_FIRES:
        why = f"it fires {feature.n_fires} times on the label split; a pattern needs {MIN_FIRES}"
        return _abstained(feature, why, {"n_fires": feature.n_fires})
    patterns = [*find_token_patterns(feature, corpus), *find_neighbour_patterns(feature, corpus)]
    good = [found for found in patterns if _passes(found)]
    if good:
        return _labeled(feature, max(good, key=_merit), LabelSource.LEXICAL)
    topic = find_topic(feature, corpus)
    if topic is not None and _is_topic(topic):
        return _labeled_by_topic(feature, topic)
    return _abstained(feature, *_best_of(patterns, topic))


def label_by_rule(feature: FeatureEvidence, corpus: CorpusEvidence) -> Labeling | None:
    """The label that follows from counts alone; None where no rule holds."""
    rule = find_rule(feature, corpus)
    return None if rule is None else _labeled(feature, rule, LabelSource.RULE)


def _passes(found: Found) -> bool:
    is_long = found.detector["kind"] == "tokens" and found.n_listed > FEW_WORDS
    is_exact = found.f1 >= (MIN_F1_LONG_LIST if is_long else MIN_F1) and found.recall >= MIN_RECALL
    return is_exact or (not is_long and found.recall >= MIN_WIDE_RECALL and found.precision >= MIN_WIDE_PRECISION)


def _merit(found: Found) -> float:
    """F1, less a little for every word listed: of two that say nearly the same the shorter is the better label."""
    return found.f1 - 0.01 * min(found.n_listed, 10)


def _is_topic(topic: Topic) -> bool:
    lift = topic.recall / max(topic.coverage, 1e-9)
    return topic.recall >= MIN_TOPIC_RECALL and topic.coverage <= MAX_TOPIC_COVERAGE and lift >= MIN_TOPIC_LIFT


def _labeled(feature: FeatureEvidence, found: Found, source: LabelSource) -> Labeling:
    # A person reads the label before the sentence: one that holds at many silent places must say so itself.
    some = "" if found.precision >= LOOSE_BELOW else "some of " if found.semantic_label.startswith("the ") else "some "
    is_estimate = found.detector["kind"] in ("previous", "next")
    about = "about " if is_estimate else ""
    explanation = (
        f"On the label split {about}{round(found.n_hit):,} of its {found.n_fires:,} firings "
        f"({percent(found.recall)}) are {found.what}, where it fires at {about}{percent(found.precision)} of "
        f"{found.n_pattern:,} places."
    )
    evidence = {
        "pattern": found.detector["kind"],
        "detector": dict(found.detector),
        "n_fires": found.n_fires,
        "n_hit": round(found.n_hit, 3),
        "n_pattern": found.n_pattern,
        "f1": round(found.f1, 6),
    }
    return Labeling(
        feature.feature_index,
        LabelStatus.LABELED,
        source,
        some + found.semantic_label,
        found.category_label,
        explanation,
        evidence,
    )


def _labeled_by_topic(feature: FeatureEvidence, topic: Topic) -> Labeling:
    explanation = (
        f"Of {topic.n_judged} contexts of the label split in which it fires {percent(topic.recall)} hold "
        f"{topic.n_needed} or more of the words {listed(topic.spelled, n_most=12, most=400)}, which were chosen on "
        f"other documents; of all contexts {percent(topic.coverage)} do."
    )
    evidence = {
        "pattern": "context_words",
        "detector": {"kind": "context_words", "words": topic.token_ids, "min_words": topic.n_needed},
        "n_fires": feature.n_fires,
        "n_contexts_judged": topic.n_judged,
        "recall": round(topic.recall, 6),
        "coverage": round(topic.coverage, 6),
    }
    return Labeling(
        feature.feature_index,
        LabelStatus.LABELED,
        LabelSource.LEXICAL,
        topic.semantic_label,
        "Topic",
        explanation,
        evidence,
    )


def _best_of(patterns: list[Found], topic: Topic | None) -> tuple[str, dict[str, Any]]:
    """Why nothing passed: the pattern that came nearest, with its figures."""
    best = max(patterns, key=lambda found: found.f1, default=None)
    if best is None:
        return "its firings share no word, kind of token or neighbour", {}
    evidence: dict[str, Any] = {"best_pattern": best.detector["kind"], "best_f1": round(best.f1, 6)}
    if topic is not None:
        evidence |= {"topic_recall": round(topic.recall, 6), "topic_coverage": round(topic.coverage, 6)}
    why = (
        f"no pattern is clear enough: the nearest, {best.what}, holds of {percent(best.recall)} of its "
        f"{best.n_fires:,} firings on the label split and it fires at {percent(best.precision)} of its "
        f"{best.n_pattern:,} places"
    )
    return why, evidence


def _abstained(feature: FeatureEvidence, why: str, evidence: dict[str, Any]) -> Labeling:
    return Labeling(
        feature_index=feature.feature_index,
        status=LabelStatus.ABSTAINED,
        source=LabelSource.LEXICAL,
        semantic_label=None,
        category_label=None,
        explanation=f"Abstained: {why}.",
        evidence=evidence,
    )
