"""A small vocabulary and text for tests of the offline labeler: every count can be read off."""

from collections.abc import Sequence

import numpy as np

from featlas.core.positions import N_BUCKETS, position_buckets
from featlas.explain.corpus_evidence import CorpusEvidence, gather_corpus_evidence
from featlas.explain.evidence import ExampleTokens, FeatureEvidence
from featlas.explain.token_classes import Words, sort_vocabulary

TOKENS = [
    *(b" the", b" court", b"court", b" Court", b" tennis", b" match", b" player", b" serve"),
    *(b"1", b" 22", b"333", b"$", b".", b",", b"\n", b"(", b")", b'"'),
    *(
        b" running",
        b" walking",
        b" of",
        b" and",
        b" a",
        b" is",
        b"\xf0\x9f",
        b"\x98\x80",
        " Ω".encode(),
        "мир".encode(),
    ),
    *(b" big", b" small", b" tree", b" house", b" car", b" road", b" sky", b" sea", b" cat", b" dog", b" USA", b"x_y"),
]
WORDS: Words = sort_vocabulary(TOKENS)
Context = list[int]


def ids(*texts: str) -> list[int]:
    """Token ids by text."""
    return [TOKENS.index(text.encode()) for text in texts]


def corpus_of(contexts: Sequence[Context]) -> CorpusEvidence:
    """The evidence of a label split that is exactly these contexts."""
    flat = np.array([token for context in contexts for token in context], dtype=np.int64)
    positions = np.concatenate([np.arange(len(context)) for context in contexts])
    return gather_corpus_evidence(
        WORDS,
        np.bincount(flat, minlength=len(TOKENS)),
        np.bincount(position_buckets(positions), minlength=N_BUCKETS),
        [np.array(context, dtype=np.int64) for context in contexts],
    )


def feature_of(contexts: Sequence[Context], fires: Sequence[Sequence[int]], index: int = 0) -> FeatureEvidence:
    """A feature that fires at these positions of the contexts, each of which is a document; all are examples."""
    pairs = [(context[at], at) for context, places in zip(contexts, fires, strict=True) for at in places]
    token_id, n_fires = np.unique(np.array([token for token, _ in pairs], dtype=np.int64), return_counts=True)
    buckets = position_buckets(np.array([at for _, at in pairs], dtype=np.int64))
    return FeatureEvidence(
        feature_index=index,
        token_id=token_id,
        token_n_fires=n_fires.astype(np.int64),
        position_n_fires=np.bincount(buckets, minlength=N_BUCKETS),
        examples=[
            ExampleTokens(document, np.array(context, dtype=np.int64), np.array(places, dtype=np.int64))
            for document, (context, places) in enumerate(zip(contexts, fires, strict=True))
            if len(places)
        ],
    )


def random_contexts(seed: int, n: int = 60, length: int = 24, among: Sequence[int] | None = None) -> list[Context]:
    """Contexts of tokens drawn by chance."""
    rng = np.random.default_rng(seed)
    return rng.choice(list(among) if among is not None else len(TOKENS), (n, length)).tolist()


def where(contexts: Sequence[Context], tokens: Sequence[int], step: int = 0) -> list[list[int]]:
    """The positions at which one of these tokens stands, shifted by `step` (1: the position after it)."""
    return [
        [at + step for at, token in enumerate(context) if token in tokens and 0 <= at + step < len(context)]
        for context in contexts
    ]
