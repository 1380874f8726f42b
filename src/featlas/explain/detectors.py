"""A label as a test: at which positions of a text does the pattern hold that a label names?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.errors import InputError
from featlas.explain.token_classes import Words


def holds_at(
    detector: Mapping[str, Any], token_ids: NDArray[np.int64], position: NDArray[np.int64], words: Words
) -> NDArray[np.bool_]:
    """Whether the pattern of a detector holds at each token of some whole contexts, one after another. Shape [n].

    `position` [n] is each token's place in its context. Detectors, by `kind`: tokens, previous, next (`token_ids`: the
    token itself, the one before, the one after, is one of these), class (`name` of a token class), position (`first` to
    `last`), context_words (the context holds `min_words` different ones of `words`, each a list of the token ids of its
    spellings). Raises InputError for another kind.
    """
    kind = detector["kind"]
    if kind == "class":
        return words.class_mask(detector["name"])[token_ids]
    if kind == "position":
        return (position >= detector["first"]) & (position <= detector["last"])
    if kind == "context_words":
        return _holds_words(detector, token_ids, position, words)
    if kind not in ("tokens", "previous", "next"):
        raise InputError(f"unknown detector {kind!r}; expected tokens, class, previous, next, position, context_words")
    is_listed = np.zeros(len(words.tokens), dtype=bool)
    is_listed[np.asarray(detector["token_ids"], dtype=np.int64)] = True
    is_hit = is_listed[token_ids]
    if kind == "tokens":
        return is_hit
    beside = np.zeros(len(is_hit), dtype=bool)
    if kind == "previous":
        beside[1:] = is_hit[:-1] & (position[1:] > 0)
    else:
        beside[:-1] = is_hit[1:] & (position[1:] > 0)
    return beside


def _holds_words(
    detector: Mapping[str, Any], token_ids: NDArray[np.int64], position: NDArray[np.int64], words: Words
) -> NDArray[np.bool_]:
    context = np.cumsum(position == 0) - 1
    numbers = words.word[[spellings[0] for spellings in detector["words"]]]
    wanted = np.flatnonzero(np.isin(words.word[token_ids], numbers))
    held = np.unique(np.stack([context[wanted], words.word[token_ids[wanted]]], axis=1), axis=0)[:, 0]
    n_held = np.bincount(held, minlength=int(context.max(initial=-1)) + 1)
    return (n_held >= detector["min_words"])[context]
