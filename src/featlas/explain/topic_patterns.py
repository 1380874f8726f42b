"""Patterns of the text around: words that stand out in the contexts in which a feature fires.

The words are chosen on one half of the documents and have to hold on the other half: among the thousands of words of a
few dozen contexts some always stand out by chance, and in a random direction's contexts too. Only text of the label
split is read; what a corpus says of its documents (topics, sources) is never seen.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from featlas.explain.corpus_evidence import CorpusEvidence
from featlas.explain.evidence import ExampleTokens, FeatureEvidence
from featlas.explain.neighbour_patterns import split_documents
from featlas.explain.phrases import listed

MOST_WORDS, MOST_NEEDED = 12, 3
MIN_CONTEXTS = 8
"""Contexts that each half must have."""

COMMONEST = 0.1
"""A word that stands in a larger share of all contexts says nothing of their topic."""


@dataclass(frozen=True)
class Topic:
    """Words of which a context must hold `n_needed` different ones to be on the topic.

    `recall` is the share of the feature's contexts that are, among the `n_judged` of the half of the documents that did
    not choose the words; `coverage` the share of all contexts.
    """

    token_ids: list[list[int]]  # of each word, all spellings
    spelled: list[bytes]
    n_needed: int
    recall: float
    coverage: float
    n_judged: int

    @property
    def semantic_label(self) -> str:
        """What the feature is about, by three of its words."""
        return f"text with words like {listed(self.spelled[:3], most=50)}"


def find_topic(feature: FeatureEvidence, corpus: CorpusEvidence) -> Topic | None:
    """The words that best tell the feature's contexts from others; None where too few contexts are known."""
    halves = split_documents(feature.examples)
    first, second = ([_words_of(example, corpus) for example in half] for half in halves)
    if min(len(first), len(second)) < MIN_CONTEXTS:
        return None
    words = _standing_out(first, corpus)
    if not words:
        return None
    all_counts = corpus.n_words_of_contexts(words)
    chosen, wanted = set(words), []
    for n_needed in range(1, min(MOST_NEEDED, len(words)) + 1):
        coverage = float((all_counts >= n_needed).mean())
        wanted.append((_share(first, chosen, n_needed) - coverage, -n_needed))
    n_needed = -max(wanted)[1]
    return Topic(
        token_ids=[corpus.words.spellings(word) for word in words],
        spelled=_spell(words, feature, corpus),
        n_needed=n_needed,
        recall=_share(second, chosen, n_needed),
        coverage=float((all_counts >= n_needed).mean()),
        n_judged=len(second),
    )


def _words_of(example: ExampleTokens, corpus: CorpusEvidence) -> set[int]:
    word = corpus.words.word[example.token_ids]
    return set(word[corpus.is_content[word]].tolist())


def _standing_out(contexts: list[set[int]], corpus: CorpusEvidence) -> list[int]:
    """Words by how much more often than elsewhere they stand here: count × log ratio of the shares of contexts."""
    counts = Counter(word for words in contexts for word in words)
    word = np.array(sorted(w for w, n in counts.items() if n >= 3), dtype=np.int64)
    if len(word) == 0:
        return []
    here = np.array([counts[w] for w in word.tolist()])
    everywhere = np.maximum(corpus.n_contexts_with(word), 1) / max(corpus.n_contexts, 1)
    gain = here * np.log(here / len(contexts) / everywhere)
    gain[everywhere > COMMONEST] = 0
    order = np.argsort(-gain, kind="stable")[:MOST_WORDS]
    return word[order[gain[order] > 0]].tolist()


def _share(contexts: list[set[int]], words: set[int], n_needed: int) -> float:
    return float(np.mean([len(held & words) >= n_needed for held in contexts]))


def _spell(words: list[int], feature: FeatureEvidence, corpus: CorpusEvidence) -> list[bytes]:
    tokens = np.concatenate([example.token_ids for example in feature.examples])
    word = corpus.words.word[tokens]
    spelled = []
    for wanted in words:
        ids, count = np.unique(tokens[word == wanted], return_counts=True)
        spelled.append(corpus.words.tokens[int(ids[int(np.argmax(count))])])
    return spelled
