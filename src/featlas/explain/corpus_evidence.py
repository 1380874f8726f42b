"""What the label split's text is like without any feature: how often words stand there, and in how many contexts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.segments import run_starts
from featlas.explain.token_classes import Words


@dataclass(frozen=True)
class CorpusEvidence:
    """Counts over the counted positions of the label split, and which words stand in a sample of its contexts.

    `n_occurrences` [n_vocab]; `word_occurrences` [n_words]; `class_occurrences` [n_classes]; `position_n_tokens`
    [n_buckets]; `is_content` [n_words] says which words can tell a topic. Word w stands in
    the sampled contexts `context[indptr[w]:indptr[w + 1]]`, numbers below `n_contexts`.
    """

    words: Words
    n_occurrences: NDArray[np.int64]
    word_occurrences: NDArray[np.int64]
    position_n_tokens: NDArray[np.int64]
    n_contexts: int
    indptr: NDArray[np.int64]
    context: NDArray[np.int64]
    is_content: NDArray[np.bool_]
    class_occurrences: NDArray[np.int64]

    @property
    def n_tokens(self) -> int:
        """Counted positions of the label split."""
        return int(self.n_occurrences.sum())

    def n_contexts_with(self, word: NDArray[np.int64]) -> NDArray[np.int64]:
        """In how many of the sampled contexts each word stands. Shape as `word`."""
        return self.indptr[word + 1] - self.indptr[word]

    def n_words_of_contexts(self, words: list[int]) -> NDArray[np.int64]:
        """How many of some different words each sampled context holds. Shape [n_contexts]."""
        held = [self.context[self.indptr[word] : self.indptr[word + 1]] for word in words]
        return np.bincount(np.concatenate([np.zeros(0, dtype=np.int64), *held]), minlength=self.n_contexts)


def gather_corpus_evidence(
    words: Words,
    n_occurrences: NDArray[np.int64],
    position_n_tokens: NDArray[np.int64],
    contexts: list[NDArray[np.int64]],
) -> CorpusEvidence:
    """The evidence of a corpus from its counts and the token ids of some contexts of the label split."""
    owner = np.repeat(np.arange(len(contexts)), [len(tokens) for tokens in contexts])
    tokens = np.concatenate([np.zeros(0, dtype=np.int64), *contexts])
    word = words.word[tokens]
    order = np.lexsort((owner, word))
    word, owner = word[order], owner[order]
    first = run_starts(word, owner)
    counts = np.bincount(word[first], minlength=words.n_words)
    return CorpusEvidence(
        words=words,
        n_occurrences=n_occurrences,
        word_occurrences=np.bincount(words.word, weights=n_occurrences, minlength=words.n_words).astype(np.int64),
        position_n_tokens=position_n_tokens,
        n_contexts=len(contexts),
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        context=owner[first],
        is_content=words.is_content(),
        class_occurrences=np.array([int(n_occurrences[mask].sum()) for mask in words.class_members()], dtype=np.int64),
    )
