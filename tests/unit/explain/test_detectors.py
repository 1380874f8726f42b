import numpy as np
import pytest
from tests.builders.label_worlds import TOKENS, WORDS, ids

from featlas.errors import InputError
from featlas.explain.detectors import holds_at
from featlas.explain.token_classes import sort_vocabulary

CONTEXTS = [ids(" the", "$", "1", " court"), ids("$", " 22"), ids(" tennis", " match", "$")]
FLAT = np.array([token for context in CONTEXTS for token in context])
POSITION = np.array([at for context in CONTEXTS for at in range(len(context))])
DOLLAR = ids("$")


@pytest.mark.parametrize(
    ("detector", "expected"),
    [
        ({"kind": "tokens", "token_ids": DOLLAR}, [0, 1, 0, 0, 1, 0, 0, 0, 1]),
        ({"kind": "previous", "token_ids": DOLLAR}, [0, 0, 1, 0, 0, 1, 0, 0, 0]),
        ({"kind": "next", "token_ids": DOLLAR}, [1, 0, 0, 0, 0, 0, 0, 1, 0]),
        ({"kind": "class", "name": "digits"}, [0, 0, 1, 0, 0, 1, 0, 0, 0]),
        ({"kind": "position", "first": 1, "last": 2}, [0, 1, 1, 0, 0, 1, 0, 1, 1]),
        (
            {"kind": "context_words", "words": [ids(" tennis"), ids(" match"), ids(" player")], "min_words": 2},
            [0, 0, 0, 0, 0, 0, 1, 1, 1],
        ),
        (
            {"kind": "context_words", "words": [ids(" court", "court", " Court"), ids("$")], "min_words": 1},
            [1, 1, 1, 1, 1, 1, 1, 1, 1],
        ),
    ],
)
def test_a_detector_holds_where_its_pattern_is(detector: dict, expected: list[int]):
    assert [bool(one) for one in expected] == holds_at(detector, FLAT, POSITION, WORDS).tolist()


def test_another_kind_is_refused():
    with pytest.raises(InputError, match="unknown detector 'dreams'"):
        holds_at({"kind": "dreams"}, FLAT, POSITION, WORDS)


def test_no_text_holds_nothing():
    none = np.zeros(0, dtype=np.int64)
    assert len(holds_at({"kind": "tokens", "token_ids": DOLLAR}, none, none, WORDS)) == 0


def classes_of(token: str | bytes) -> set[str]:
    content = token.encode() if isinstance(token, str) else token
    words = sort_vocabulary([content])
    return {kind.name for kind, mask in zip(words.classes, words.class_members(), strict=True) if mask[0]}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (" 22", {"digits"}),
        (".", {"punctuation", "marks"}),
        ("+", {"symbols", "marks"}),
        ("(", {"punctuation", "marks", "opening"}),
        (" \n", {"newline"}),
        ("  ", {"spaces"}),
        (" USA", {"capitals", "word_start", "first_u"}),
        (" Running", {"capitalised", "word_start", "first_r", "ending_ing"}),
        ("ing", {"continuation", "first_i"}),
        ("мир", {"continuation", "script_cyrillic"}),
        (b"\xf0\x9f", {"bytes"}),
        ("", set()),
    ],
)
def test_tokens_are_of_the_kinds_that_people_name(token: str | bytes, expected: set[str]):
    assert expected == classes_of(token)


def test_words_are_tokens_apart_from_case_and_space():
    (word,) = {int(WORDS.word[token]) for token in ids(" court", "court", " Court")}
    assert ids(" court", "court", " Court") == WORDS.spellings(word)
    assert sorted(t for w in range(WORDS.n_words) for t in WORDS.spellings(w)) == list(range(len(TOKENS)))
    with pytest.raises(KeyError):
        WORDS.class_mask("dreams")
