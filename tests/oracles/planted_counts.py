"""What a run over a planted SAE must find, counted token by token in plain Python from the texts alone."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, stdev

from featlas.testing.planted_sae import Planted


@dataclass
class Counts:
    """Of one feature: its activations at counted positions, and where they were."""

    values: list[float] = field(default_factory=list)
    tokens: Counter[int] = field(default_factory=Counter)
    token_values: dict[int, list[float]] = field(default_factory=dict)
    contexts: set[tuple[int, int]] = field(default_factory=set)
    documents: set[int] = field(default_factory=set)
    n_excluded: int = 0
    max_excluded: float = 0.0

    @property
    def std(self) -> float | None:
        """With ddof = 1; 0 for one event."""
        if not self.values:
            return None
        return stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None


@dataclass
class Expected:
    """The whole run: counted positions, excluded ones by cause, occurrences of each token, and each feature."""

    n_tokens: int
    n_contexts: int
    n_excluded: dict[str, int]
    occurrences: Counter[int]
    features: list[Counts]


def windows(document: list[int], ctx_len: int, bos: int) -> list[list[int]]:
    """A document's contexts: consecutive windows with the BOS in front of each."""
    bounds = [*range(0, len(document), ctx_len - 1), len(document)]
    return [[bos, *document[first:last]] for first, last in pairwise(bounds)] if document else []


def count(planted: Planted, documents: list[list[int]], ctx_len: int, *, bos: int, sink: int | None) -> Expected:
    """Count everything; `sink` is the token id that is not counted, None where all are."""
    features = [Counts() for _ in range(planted.activations.shape[1])]
    activations = planted.activations.tolist()
    occurrences: Counter[int] = Counter()
    excluded = {"bos": 0, "sink": 0}
    n_contexts = 0
    for number, document in enumerate(documents):
        for window, tokens in enumerate(windows(document, ctx_len, bos)):
            n_contexts += 1
            for position, token in enumerate(tokens):
                cause = "bos" if position == 0 else "sink" if token == sink else None
                if cause:
                    excluded[cause] += 1
                else:
                    occurrences[token] += 1
                for found, value in zip(features, activations[token], strict=True):
                    if value > 0:
                        _add(found, (number, window), token, value, is_counted=cause is None)
    return Expected(sum(occurrences.values()), n_contexts, excluded, occurrences, features)


def _add(found: Counts, context: tuple[int, int], token: int, value: float, *, is_counted: bool) -> None:
    if not is_counted:
        found.n_excluded += 1
        found.max_excluded = max(found.max_excluded, value)
        return
    found.values.append(value)
    found.tokens[token] += 1
    found.token_values.setdefault(token, []).append(value)
    found.contexts.add(context)
    found.documents.add(context[0])
