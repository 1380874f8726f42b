import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.label_worlds import (
    TOKENS,
    WORDS,
    corpus_of,
    feature_of,
    ids,
    random_contexts,
    where,
)

from featlas.domain import LabelSource, LabelStatus
from featlas.explain.detectors import holds_at
from featlas.explain.evidence import Labeling
from featlas.explain.lexical import label_feature
from featlas.explain.lint import lint_label

CONTEXTS = random_contexts(3, n=120)
CORPUS = corpus_of(CONTEXTS)


def label(fires: list[list[int]], *, with_rules: bool = True) -> Labeling:
    return label_feature(feature_of(CONTEXTS, fires), CORPUS, with_rules=with_rules)


def test_a_feature_of_one_token_is_labeled_by_rule():
    found = label(where(CONTEXTS, ids(" tennis")))
    assert (found.source, found.semantic_label, found.category_label) == (
        LabelSource.RULE,
        'the token " tennis"',
        "Token > Single token",
    )
    n = sum(len(places) for places in where(CONTEXTS, ids(" tennis")))
    assert found.evidence["detector"] == {"kind": "tokens", "token_ids": ids(" tennis")}
    assert (found.evidence["n_fires"], found.evidence["n_hit"], found.evidence["n_pattern"]) == (n, n, n)
    assert f"{n:,} of its {n:,} firings (100%)" in found.explanation
    assert label(where(CONTEXTS, ids(" tennis")), with_rules=False).source is LabelSource.LEXICAL


def test_the_rules_need_both_shares():
    """On all firings, but at a half of the token's places."""
    fires = where(CONTEXTS, ids(" tennis"))
    half = [places if at % 2 else [] for at, places in enumerate(fires)]
    assert label(half).source is not LabelSource.RULE


@pytest.mark.parametrize(
    ("fires", "semantic", "category"),
    [
        (where(CONTEXTS, ids(" court", "court", " Court")), '"court" in any spelling', "Token > Word"),
        (where(CONTEXTS, ids("1", " 22", "333")), "digits", "Token > Digits"),
        (where(CONTEXTS, ids(" running", " walking")), 'words that end in "-ing"', "Token > Ending"),
        (where(CONTEXTS, ids("$"), step=1), 'what comes after "$"', "Context > After a word"),
        (where(CONTEXTS, ids("$"), step=-1), 'what comes before "$"', "Context > Before a word"),
    ],
)
def test_patterns_get_their_words(fires: list[list[int]], semantic: str, category: str):
    found = label(fires)
    assert (found.status, found.source) == (LabelStatus.LABELED, LabelSource.LEXICAL)
    assert (found.semantic_label, found.category_label) == (semantic, category)
    assert lint_label(found.semantic_label) == ()


def test_a_few_words_are_listed_by_their_firings():
    found = label(where(CONTEXTS, ids(" tree", " cat", "$")))
    assert found.category_label == "Token > Words"
    text = found.semantic_label or ""
    assert all(word in text for word in ('"tree"', '"cat"', '"$"'))


def test_positions_are_labeled_by_rule():
    found = label([[4, 5, 6, 7] for _ in CONTEXTS])
    assert (found.source, found.semantic_label) == (LabelSource.RULE, "positions 4 to 7 of the context")
    assert found.evidence["detector"] == {"kind": "position", "first": 4, "last": 7}


def test_a_bucket_that_holds_half_of_all_positions_is_no_rule():
    contexts = random_contexts(3, n=60, length=8)
    found = label_feature(feature_of(contexts, [[4, 5, 6, 7] for _ in contexts]), corpus_of(contexts))
    assert found.source is LabelSource.LEXICAL
    assert "position" not in (found.semantic_label or "")


def test_text_about_something_is_told_by_its_words():
    plain = random_contexts(5, n=400, among=ids(" the", " of", " and", " a", " is", " big", " tree", " house"))
    sport = random_contexts(6, n=30, among=ids(" the", " of", " and", " a", " is", " tennis", " match", " player"))
    contexts = [*plain, *sport]
    rng = np.random.default_rng(1)
    fires = [[] if at < 400 else sorted(rng.choice(24, 3, replace=False).tolist()) for at in range(430)]
    found = label_feature(feature_of(contexts, fires), corpus_of(contexts))
    assert found.category_label == "Topic"
    assert (found.semantic_label or "").startswith("text with words like ")
    assert all(f'"{word}"' in found.explanation for word in ("tennis", "match", "player"))


def test_a_feature_of_chance_is_not_labeled():
    n_labeled = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        fires = [np.flatnonzero(rng.random(24) < 0.05).tolist() for _ in CONTEXTS]
        found = label(fires)
        n_labeled += found.status is LabelStatus.LABELED
        assert found.explanation
    assert n_labeled == 0


def test_a_feature_that_hardly_fires_is_not_labeled():
    found = label([[0], *[[] for _ in CONTEXTS[1:]]])
    assert (found.status, found.semantic_label, found.category_label) == (LabelStatus.ABSTAINED, None, None)
    assert found.explanation == "Abstained: it fires 1 times on the label split; a pattern needs 10."


def test_a_silent_feature_abstains():
    assert label([[] for _ in CONTEXTS]).status is LabelStatus.ABSTAINED


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.3, 0.9]))
def test_any_feature_has_an_answer_that_is_the_same_twice(seed: int, density: float):
    rng = np.random.default_rng(seed)
    wanted = rng.choice(len(TOKENS), 4).tolist()
    fires = [
        [at for at, token in enumerate(context) if token in wanted and rng.random() < density] for context in CONTEXTS
    ]
    found = label(fires)
    assert found == label(fires)
    if found.status is LabelStatus.LABELED:
        flat = np.array([token for context in CONTEXTS for token in context])
        position = np.concatenate([np.arange(len(context)) for context in CONTEXTS])
        holds = holds_at(found.evidence["detector"], flat, position, WORDS)
        if found.evidence["pattern"] in ("tokens", "class", "position"):
            assert int(holds.sum()) == found.evidence["n_pattern"]
        assert len(found.semantic_label or "") <= 80


def test_a_wide_label_says_so_and_its_numbers_are_exact():
    """It fires at every third court, and nowhere else."""
    places = where(CONTEXTS, ids(" court", "court", " Court", " tree"))
    fires = [found if at % 3 == 0 else [] for at, found in enumerate(places)]
    found = label(fires)
    n = sum(len(one) for one in fires)
    n_places = sum(len(one) for one in places)
    assert (found.semantic_label or "").startswith('some "')
    assert f"{n:,} of its {n:,} firings (100%)" in found.explanation
    assert f"of {n_places:,} places" in found.explanation
    assert lint_label(found.semantic_label) == ()
