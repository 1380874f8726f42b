"""Patterns of the token itself: a few words that together make up the firings, or a kind of tokens.

Counts come from the exact token table. Words are chosen by the same counts that they are judged by, so each chosen word
pays one firing for being chosen: what fires once on each of many rare words is no pattern.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featlas.explain.corpus_evidence import CorpusEvidence
from featlas.explain.evidence import FeatureEvidence, Found
from featlas.explain.phrases import listed, quoted

FEW_WORDS, MANY_WORDS = 12, 64
MIN_WORD_FIRES, MIN_WORD_SHARE = 3, 0.02
"""A listed word makes up at least so many of the firings, and in the short list this share of them: what a feature
fired on by the way does not belong into its label."""


def find_token_patterns(feature: FeatureEvidence, corpus: CorpusEvidence) -> Iterator[Found]:
    """The best short list of words, the best longer list, and the best kind of tokens; not held to any bar yet."""
    yield from _word_lists(feature, corpus)
    yield from _token_class(feature, corpus)


def _word_lists(feature: FeatureEvidence, corpus: CorpusEvidence) -> Iterator[Found]:
    word, at = np.unique(corpus.words.word[feature.token_id], return_inverse=True)
    n_fires = np.bincount(at, weights=feature.token_n_fires).astype(np.int64)
    n_occurrences = corpus.word_occurrences[word]
    paid = n_fires - 1
    precision = paid / np.maximum(n_occurrences, 1)
    order = np.argsort(-(paid * precision), kind="stable")
    lists = ((FEW_WORDS, MIN_WORD_SHARE, 1.0), (FEW_WORDS, MIN_WORD_SHARE, 2.0), (MANY_WORDS, 0.0, 1.0))
    for most, share, beta in lists:
        is_some = n_fires[order] >= max(MIN_WORD_FIRES, share * feature.n_fires)
        chosen = order[is_some][:most]
        if len(chosen) == 0:
            continue
        chosen = chosen[np.argsort(-precision[chosen], kind="stable")]
        # F with recall weighed beta times: beta 2 takes in words on which the feature fires now and then.
        n_positives = beta**2 * feature.n_fires + np.cumsum(n_occurrences[chosen])
        kept = chosen[: int(np.argmax(np.cumsum(paid[chosen]) / n_positives)) + 1]
        if most == FEW_WORDS or len(kept) > FEW_WORDS:
            yield _list_of_words(feature, corpus, word[kept], n_fires[kept], n_occurrences[kept])


def _list_of_words(
    feature: FeatureEvidence,
    corpus: CorpusEvidence,
    word: NDArray[np.int64],
    n_fires: NDArray[np.int64],
    n_occurrences: NDArray[np.int64],
) -> Found:
    by_firings = np.argsort(-n_fires, kind="stable")
    spelled = [_commonest_spelling(feature, corpus, int(w)) for w in word[by_firings]]
    token_ids = np.array(sorted(t for w in word.tolist() for t in corpus.words.spellings(w)), dtype=np.int64)
    n_spellings = int((corpus.n_occurrences[token_ids] > 0).sum())
    what = f"on {listed(spelled)}, in any spelling"
    if len(word) > 1:
        semantic, category = _several_words(spelled, len(word))
    elif n_spellings > 1:
        semantic, category = f"{quoted(spelled[0], stripped=True)} in any spelling", "Token > Word"
    else:
        semantic, category = f"the token {quoted(spelled[0])}", "Token > Single token"
        what = f"on the token {quoted(spelled[0])}"
    return Found(
        semantic_label=semantic,
        category_label=category,
        what=what,
        detector={"kind": "tokens", "token_ids": token_ids.tolist()},
        n_fires=feature.n_fires,
        n_hit=int(n_fires.sum()),
        n_pattern=int(n_occurrences.sum()),
        n_listed=len(word),
        n_paid=len(word) - 1,
    )


def _several_words(spelled: list[bytes], n: int) -> tuple[str, str]:
    texts = [token.decode("utf-8", errors="replace").strip().casefold() for token in spelled]
    stem = _shared_start(texts)
    if n <= FEW_WORDS and len(stem) >= 3 and stem.isalpha():
        return (
            f'{listed(spelled)}: words in "{stem}-"' if n <= 2 else f'words that start with "{stem}"',
            "Token > Word family",
        )
    return f"{listed(spelled)}", "Token > Words"


def _shared_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    n = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:n]


def _commonest_spelling(feature: FeatureEvidence, corpus: CorpusEvidence, word: int) -> bytes:
    of_word = np.flatnonzero(corpus.words.word[feature.token_id] == word)
    best = of_word[int(np.argmax(feature.token_n_fires[of_word]))]
    return corpus.words.tokens[int(feature.token_id[best])]


def _token_class(feature: FeatureEvidence, corpus: CorpusEvidence) -> Iterator[Found]:
    words = corpus.words
    if not words.classes:
        return
    n_hit = feature.token_n_fires.astype(np.float64) @ words.is_in_class[feature.token_id]
    n_pattern = corpus.class_occurrences
    best = int(np.argmax(n_hit / (feature.n_fires + n_pattern)))
    kind = words.classes[best]
    yield Found(
        semantic_label=kind.phrase,
        category_label=kind.category,
        what=f"on {kind.phrase}",
        detector={"kind": "class", "name": kind.name},
        n_fires=feature.n_fires,
        n_hit=int(n_hit[best]),
        n_pattern=int(n_pattern[best]),
    )


def main_class(token_ids: NDArray[np.int64], corpus: CorpusEvidence, share: float) -> str | None:
    """The phrase of the rarest kind that holds at least this share of the given tokens; None without one."""
    words = corpus.words
    if len(token_ids) == 0 or not words.classes:
        return None
    holds = words.is_in_class[token_ids].mean(axis=0) >= share
    if not holds.any():
        return None
    rarest = int(np.argmin(np.where(holds, corpus.class_occurrences, np.iinfo(np.int64).max)))
    return words.classes[rarest].phrase
