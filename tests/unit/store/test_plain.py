import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featlas.store.plain import plain_json, plain_text, to_json_text
from featlas.store.uids import new_uid

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING)
def test_anything_becomes_strict_json_that_reads_back_as_itself(value: object):
    plain = plain_json(value)
    assert json.loads(to_json_text(value), parse_constant=_refuse) == plain
    assert plain_json(plain) == plain


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
def test_ordinary_text_is_unchanged(text: str):
    assert plain_text(text) == text


def test_what_databases_refuse_is_written_as_escapes():
    assert plain_text("a\0b\ud800c") == r"a\x00b\ud800c"


def test_numpy_and_missing_numbers_become_plain_ones():
    value = {"a": np.float32(0.5), "b": np.array([1, 2]), "c": float("nan"), "d": [float("inf")], 5: (True, None)}
    assert plain_json(value) == {"a": 0.5, "b": [1, 2], "c": None, "d": [None], "5": [True, None]}


def test_uids_are_version_7_distinct_and_in_order_of_birth():
    uids = [new_uid() for _ in range(2000)]
    assert len(set(uids)) == 2000
    assert {(uid[14], uid[19] in "89ab", len(uid)) for uid in uids} == {("7", True, 36)}
    stamps = [uid[:13] for uid in uids]
    assert stamps == sorted(stamps)


def _refuse(constant: str) -> None:
    raise AssertionError(constant)
