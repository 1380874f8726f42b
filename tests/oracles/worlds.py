"""Small random corpora with events, made to be awkward: gaps, copies, uncounted places, ties, both signs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from featlas.core.corpus import CorpusArrays
from featlas.core.events import FeatureEvents
from featlas.domain import N_GROUPS


@dataclass(frozen=True)
class World:
    """A corpus and the events of features first_feature … over all of it."""

    corpus: CorpusArrays
    events: FeatureEvents

    @property
    def first(self) -> int:
        return self.events.first_feature

    @property
    def n_features(self) -> int:
        return self.events.n_features

    def rows(self, f: int) -> list[tuple[int, float]]:
        """(slot, value) of the local feature f."""
        return self._rows[f]

    @cached_property
    def _rows(self) -> list[list[tuple[int, float]]]:
        slot, value, indptr = self.events.slot.tolist(), self.events.value.tolist(), self.events.indptr.tolist()
        flat = list(zip(slot, value, strict=True))
        return [flat[a:b] for a, b in pairwise(indptr)]

    def contexts(self, f: int) -> dict[int, list[tuple[int, float]]]:
        """Context → its (slot, value) rows."""
        return self._contexts[f]

    @cached_property
    def _contexts(self) -> list[dict[int, list[tuple[int, float]]]]:
        owner = self.corpus.context_of_slot.tolist()
        out: list[dict[int, list[tuple[int, float]]]] = [{} for _ in range(self.n_features)]
        for f in range(self.n_features):
            for slot, value in self.rows(f):
                out[f].setdefault(owner[slot], []).append((slot, value))
        return out

    def peaks(self, f: int) -> dict[int, tuple[int, float]]:
        """Context → (slot, value) of its largest magnitude, the first on ties."""
        return {c: max(rows, key=lambda row: abs(row[1])) for c, rows in self.contexts(f).items()}

    def document(self, context: int) -> int:
        return self._documents[context]

    @cached_property
    def _documents(self) -> list[int]:
        return self.corpus.context_document.tolist()

    def split(self, context: int) -> int:
        return self._splits[self.document(context)]

    @cached_property
    def _splits(self) -> list[int]:
        return self.corpus.document_split.tolist()

    def counted(self) -> list[int]:
        """Counted slots."""
        return self._counted

    @cached_property
    def _counted(self) -> list[int]:
        c = self.corpus
        owner, cause = c.context_of_slot.tolist(), c.cause.tolist()
        return [s for s in range(len(owner)) if owner[s] < c.n_contexts and cause[s] == 0]

    def cut(self, cuts: list[int], features: range | None = None) -> Iterator[FeatureEvents]:
        """The events of some local features in chunks that end before the given contexts."""
        chosen = features or range(self.n_features)
        ends = sorted({*(c % (self.corpus.n_contexts + 1) for c in cuts), self.corpus.n_contexts})
        start = 0
        for end in ends:
            rows = [[row for row in self.rows(f) if start <= self.corpus.context_of_slot[row[0]] < end] for f in chosen]
            flat = [row for part in rows for row in part]
            yield FeatureEvents(
                self.first + chosen.start,
                np.concatenate([[0], np.cumsum([len(part) for part in rows])]).astype(np.int64),
                np.array([slot for slot, _ in flat], dtype=np.int64),
                np.array([value for _, value in flat], dtype=np.float32),
            )
            start = end


VOCAB = 7
KINDS = ("small integers", "floats", "one value", "extremes")


def _values(rng: np.random.Generator, kind: str, n: int) -> np.ndarray:
    if kind == "small integers":
        return rng.choice([-3, -2, -1, 1, 2, 3], n).astype(np.float32)
    if kind == "one value":
        return np.full(n, 1.5, dtype=np.float32)
    if kind == "extremes":
        return rng.choice([1e-30, 2.0**-16, 2.0**-17, 65536.0, 1e30, -65536.0, -1e-9, 65535.99], n).astype(np.float32)
    return rng.normal(0, 3, n).astype(np.float32)


def _documents(rng: np.random.Generator, n_documents: int, ctx_len: int) -> list[np.ndarray]:
    documents: list[np.ndarray] = []
    for _ in range(n_documents):
        if documents and rng.random() < 0.4:
            documents.append(documents[rng.integers(len(documents))])  # copied text
        else:
            documents.append(rng.integers(0, VOCAB, rng.integers(1, 4 * ctx_len)))
    return documents


def _pieces(rng: np.random.Generator, documents: list[np.ndarray], split: np.ndarray, ctx_len: int) -> list:
    """(document, offset, tokens) of every context; the two splits take turns, as packed streams do."""
    streams: list[list] = [[], []]
    for index, document in enumerate(documents):
        for offset in range(0, len(document), ctx_len):
            streams[split[index]].append((index, offset, document[offset : offset + ctx_len].tolist()))
    out = []
    while streams[0] or streams[1]:
        side = int(rng.random() < 0.4)
        out.append(streams[side if streams[side] else 1 - side].pop(0))
    return out


def make_corpus(seed: int, n_documents: int = 12, ctx_len: int = 11) -> CorpusArrays:
    """Documents cut into contexts; now and then a gap between contexts, and places that are not counted."""
    rng = np.random.default_rng(seed)
    split = (rng.random(n_documents) < 0.3).astype(np.uint8)
    documents = _documents(rng, n_documents, ctx_len)
    pieces = _pieces(rng, documents, split, ctx_len)
    tokens, owner, cause, slots = [], [], [], []
    for context, (_, _, part) in enumerate(pieces):
        if rng.random() < 0.2:
            gap = int(rng.integers(1, 5))
            tokens += [0] * gap
            owner += [len(pieces)] * gap
            cause += [3] * gap
        slots.append(len(tokens))
        tokens += part
        owner += [context] * len(part)
        cause += rng.choice([0, 0, 0, 0, 0, 1, 2], len(part)).tolist()
    return CorpusArrays(
        token_ids=np.array(tokens, dtype=np.uint32),
        cause=np.array(cause, dtype=np.uint8),
        context_of_slot=np.array(owner, dtype=np.uint32),
        context_slot=np.array(slots, dtype=np.int64),
        context_n=np.array([len(part) for _, _, part in pieces], dtype=np.int64),
        context_document=np.array([document for document, _, _ in pieces], dtype=np.uint32),
        context_token_offset=np.array([offset for _, offset, _ in pieces], dtype=np.uint32),
        document_split=split,
        document_group=rng.integers(0, N_GROUPS, n_documents).astype(np.uint8),
        document_key=rng.integers(0, 2**63, n_documents).astype(np.uint64),
        n_vocab=VOCAB,
    )


def make_world(seed: int, kind: str, n_features: int = 5) -> World:
    """Features of very different densities, the last of them dead."""
    corpus = make_corpus(seed)
    rng = np.random.default_rng([seed, 1])
    counted = np.flatnonzero((corpus.cause == 0) & (corpus.context_of_slot < corpus.n_contexts))
    slots = []
    for density in [*rng.choice([0.02, 0.1, 0.5, 1.0], n_features - 1), 0.0]:
        slots.append(counted[rng.random(len(counted)) < density])
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in slots])]).astype(np.int64)
    slot = np.concatenate(slots).astype(np.int64)
    return World(corpus, FeatureEvents(int(rng.integers(0, 90)), indptr, slot, _values(rng, kind, len(slot))))


worlds = st.builds(make_world, st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
cuts = st.lists(st.integers(0, 40), max_size=5)
