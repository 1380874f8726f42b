"""Patterns of the tokens beside the firing one: "the token after X", "before X".

The neighbours are those of the events in examples that were drawn by chance, so shares among them are estimates for all
events. Words are chosen on one half of the documents and counted on the other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from featlas.explain.corpus_evidence import CorpusEvidence
from featlas.explain.evidence import ExampleTokens, FeatureEvidence, Found
from featlas.explain.phrases import listed, quoted
from featlas.explain.token_patterns import main_class

MIN_EVENTS = 10
"""Events with a neighbour that each half must have."""

MOST_WORDS = 8
_CLASS_SHARE = 0.8


def find_neighbour_patterns(feature: FeatureEvidence, corpus: CorpusEvidence) -> Iterator[Found]:
    """The best list of words before, and after, the token that fires; not held to any bar yet."""
    halves = split_documents(feature.examples)
    own = [example.token_ids[example.positions] for example in feature.examples]
    for step, kind, preposition in ((-1, "previous", "after"), (1, "next", "before")):
        first, second = (_neighbours(half, step) for half in halves)
        if min(len(first), len(second)) < MIN_EVENTS:
            continue
        chosen = _choose(corpus.words.word[first], feature.n_fires, corpus)
        if not chosen:
            continue
        share = float(np.isin(corpus.words.word[second], chosen).mean())
        subject = main_class(np.concatenate(own), corpus, _CLASS_SHARE) or "what comes"
        spelled = _spell(chosen, np.concatenate([first, second]), corpus)
        token_ids = sorted(token for word in chosen for token in corpus.words.spellings(word))
        yield Found(
            semantic_label=f"{subject} {preposition} {_first_two(spelled)}",
            category_label=f"Context > {preposition.capitalize()} a word",
            what=f"{preposition} {listed(spelled)}",
            detector={"kind": kind, "token_ids": token_ids},
            n_fires=feature.n_fires,
            n_hit=share * feature.n_fires,
            n_pattern=int(corpus.word_occurrences[chosen].sum()),
            n_listed=len(chosen),
        )


def _first_two(spelled: list[bytes]) -> str:
    """A short label has room for two words."""
    return (
        listed(spelled) if len(spelled) < 3 else f"{', '.join(quoted(word, stripped=True) for word in spelled[:2])}, …"
    )


def split_documents(examples: Sequence[ExampleTokens]) -> tuple[list[ExampleTokens], list[ExampleTokens]]:
    """The examples in two halves that share no document: every other document, in the order of the corpus."""
    place = {document: at for at, document in enumerate(sorted({example.document for example in examples}))}
    even = [example for example in examples if place[example.document] % 2 == 0]
    return even, [example for example in examples if place[example.document] % 2 == 1]


def _neighbours(examples: list[ExampleTokens], step: int) -> NDArray[np.int64]:
    """The token beside each event; events at the edge of their context have none."""
    found = [np.zeros(0, dtype=np.int64)]
    for example in examples:
        at = example.positions + step
        found.append(example.token_ids[at[(at >= 0) & (at < len(example.token_ids))]])
    return np.concatenate(found)


def _choose(seen: NDArray[np.int64], n_fires: int, corpus: CorpusEvidence) -> list[int]:
    """The words that give the best F1 on these events, each paying one event for being chosen."""
    word, count = np.unique(seen, return_counts=True)
    paid = (count - 1) * (n_fires / len(seen))
    n_occurrences = np.maximum(corpus.word_occurrences[word], 1)
    best = np.argsort(-(paid * np.minimum(paid / n_occurrences, 1)), kind="stable")[:MOST_WORDS]
    best = best[np.argsort(-(paid[best] / n_occurrences[best]), kind="stable")]
    f1 = 2 * np.cumsum(paid[best]) / (n_fires + np.cumsum(n_occurrences[best]))
    if len(best) == 0 or f1.max() <= 0:
        return []
    return word[best[: int(np.argmax(f1)) + 1]].tolist()


def _spell(words: list[int], tokens: NDArray[np.int64], corpus: CorpusEvidence) -> list[bytes]:
    """The commonest token of each word among these, the commonest word first."""
    counts: dict[int, Counter[int]] = {word: Counter() for word in words}
    for token, word in zip(tokens.tolist(), corpus.words.word[tokens].tolist(), strict=True):
        if word in counts:
            counts[word][token] += 1
    order = sorted(words, key=lambda word: (-counts[word].total(), word))
    return [corpus.words.tokens[min(counts[word], key=lambda token: (-counts[word][token], token))] for word in order]
