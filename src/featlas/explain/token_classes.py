"""Kinds of tokens that people have a word for (digits, brackets, capitals …), and words apart from their spellings."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from featlas.core.concentration import word_of_tokens

OPENING, CLOSING = frozenset("([{<"), frozenset(")]}>")
QUOTES = frozenset("\"'`“”‘’«»")
ENDINGS = ("ing", "ed", "ly", "tion", "sion", "ment", "ness", "ity", "ous", "al", "er", "est", "able", "ive", "s")


@dataclass(frozen=True)
class TokenClass:
    """A kind of tokens: its stable name, how it is called in a label, and its category."""

    name: str
    phrase: str
    category: str


@dataclass(frozen=True)
class Words:
    """A vocabulary as words and classes.

    `word` [n_vocab] numbers each token's word: tokens that differ in case and surrounding space are one. `is_in_class`
    [n_vocab, n_classes] holds 0 and 1, so that a feature's firings by class are one product of matrices.
    """

    tokens: Sequence[bytes]
    word: NDArray[np.int64]
    classes: tuple[TokenClass, ...]
    is_in_class: NDArray[np.float32]

    @property
    def n_words(self) -> int:
        """Number of different words."""
        return int(self.word.max(initial=-1)) + 1

    def class_mask(self, name: str) -> NDArray[np.bool_]:
        """The tokens of a class by its stable name; raises KeyError for an unknown one. Shape [n_vocab]."""
        return self.is_in_class[:, {found.name: at for at, found in enumerate(self.classes)}[name]] > 0

    def class_members(self) -> list[NDArray[np.bool_]]:
        """For each class which tokens are in it."""
        return list(self.is_in_class.T > 0)

    @cached_property
    def _by_word(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.word, kind="stable")
        return order, np.concatenate([[0], np.cumsum(np.bincount(self.word, minlength=self.n_words))])

    def spellings(self, word: int) -> list[int]:
        """The token ids of a word, ascending."""
        order, starts = self._by_word
        return order[starts[word] : starts[word + 1]].tolist()

    def is_content(self) -> NDArray[np.bool_]:
        """Words of three letters or more, which can say what a text is about. Shape [n_words]."""
        out = np.zeros(self.n_words, dtype=bool)
        for token, word in zip(self.tokens, self.word.tolist(), strict=True):
            text = token.decode("utf-8", errors="replace").strip()
            out[word] |= len(text) >= 3 and text.isalpha() and token[:1] == b" "
        return out


def sort_vocabulary(tokens: Sequence[bytes]) -> Words:
    """Words and classes of a vocabulary; classes without a token are left out."""
    texts = [_text(token) for token in tokens]
    found: list[tuple[TokenClass, NDArray[np.bool_]]] = []
    for kind, test in _tests(texts):
        mask = np.array([text is not None and test(text) for text in texts], dtype=bool)
        if mask.any():
            found.append((kind, mask))
    broken = np.array([text is None for text in texts], dtype=bool)
    if broken.any():
        found.append((TokenClass("bytes", "bytes of a larger character", "Token > Part of a character"), broken))
    is_in_class = np.zeros((len(tokens), len(found)), dtype=np.float32)
    for at, (_, mask) in enumerate(found):
        is_in_class[:, at] = mask
    return Words(tokens, word_of_tokens(tokens), tuple(kind for kind, _ in found), is_in_class)


def _text(token: bytes) -> str | None:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None


Test = Callable[[str], bool]


def _tests(texts: Sequence[str | None]) -> list[tuple[TokenClass, Test]]:
    return [*_marks(), *_letters(), *_first_letters(), *_endings(), *_scripts(texts)]


def _marks() -> list[tuple[TokenClass, Test]]:
    syntax = "Language > Syntax"
    return [
        (TokenClass("digits", "digits", "Token > Digits"), lambda t: t.strip().isdigit()),
        (TokenClass("punctuation", "punctuation marks", f"{syntax} > Punctuation"), lambda t: _is_all(t, "P")),
        (TokenClass("symbols", "symbols", "Token > Symbols"), lambda t: _is_all(t, "S")),
        (TokenClass("marks", "punctuation and symbols", f"{syntax} > Punctuation"), lambda t: _is_all(t, "PS")),
        (TokenClass("opening", "opening brackets", f"{syntax} > Brackets"), lambda t: t.strip()[-1:] in OPENING),
        (TokenClass("closing", "closing brackets", f"{syntax} > Brackets"), lambda t: t.strip()[:1] in CLOSING),
        (TokenClass("quotes", "quotation marks", f"{syntax} > Quotes"), lambda t: bool(QUOTES & set(t))),
        (TokenClass("newline", "line breaks", "Token > Whitespace"), lambda t: "\n" in t and not t.strip()),
        (
            TokenClass("spaces", "runs of spaces or tabs", "Token > Whitespace"),
            lambda t: bool(t) and "\n" not in t and not t.strip(),
        ),
    ]


def _letters() -> list[tuple[TokenClass, Test]]:
    case = "Token > Letter case"
    return [
        (TokenClass("capitals", "words in capitals", case), lambda t: len(t.strip()) > 1 and t.strip().isupper()),
        (TokenClass("capitalised", "capitalised words", case), lambda t: len(t.strip()) > 1 and t.strip().istitle()),
        (
            TokenClass("one_capital", "single capital letters", case),
            lambda t: len(t.strip()) == 1 and t.strip().isupper(),
        ),
        (TokenClass("underscore", "identifiers with underscores", "Code > Identifiers"), lambda t: "_" in t),
        (
            TokenClass("word_start", "word starts", "Token > Place in word"),
            lambda t: t[:1] == " " and t[1:2].isalpha(),
        ),
        (
            TokenClass("continuation", "word parts", "Token > Place in word"),
            lambda t: t[:1].isalpha() and t[:1].islower(),
        ),
    ]


def _first_letters() -> list[tuple[TokenClass, Test]]:
    return [
        (
            TokenClass(f"first_{letter}", f'words that start with "{letter}"', "Token > First letter"),
            lambda t, letter=letter: t.strip().casefold().startswith(letter),
        )
        for letter in "abcdefghijklmnopqrstuvwxyz"
    ]


def _endings() -> list[tuple[TokenClass, Test]]:
    return [
        (
            TokenClass(f"ending_{ending}", f'words that end in "-{ending}"', "Token > Ending"),
            lambda t, ending=ending: t.strip().isalpha() and len(t.strip()) > len(ending) + 1 and t.endswith(ending),
        )
        for ending in ENDINGS
    ]


def _scripts(texts: Sequence[str | None]) -> list[tuple[TokenClass, Test]]:
    scripts = sorted({script for text in texts if text for script in _script_names(text)})
    return [
        (
            TokenClass(f"script_{script.lower()}", f"{_script_word(script)} script", "Token > Script"),
            lambda t, script=script: script in _script_names(t),
        )
        for script in scripts
    ]


def _script_word(script: str) -> str:
    return script if script == "CJK" else script.capitalize()


def _script_names(text: str) -> set[str]:
    """The scripts of the letters beyond ASCII, by the first word of their Unicode names."""
    letters = (character for character in text if ord(character) > 127 and character.isalpha())
    return {unicodedata.name(letter, "").split(" ")[0].split("-")[0] for letter in letters} - {""}


def _is_all(text: str, categories: str) -> bool:
    stripped = text.strip()
    return bool(stripped) and all(unicodedata.category(character)[0] in categories for character in stripped)
