import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.store.spans import decode_spans, readable_token


def slow_spans(text: bytes, ends: list[int]) -> tuple[str, list[tuple[int, int]]]:
    """Character by character: which bytes does each hold, and which characters does each token touch?"""
    characters: list[tuple[str, range]] = []
    at = 0
    while at < len(text):
        for length in (1, 2, 3, 4):
            try:
                characters.append((text[at : at + length].decode(), range(at, at + length)))
                at += length
                break
            except UnicodeDecodeError as error:
                if length == 4 or at + length >= len(text):
                    # Python says how many bytes make one broken sequence.
                    try:
                        text[at:].decode()
                        raise AssertionError from error
                    except UnicodeDecodeError as broken:
                        n = broken.end - broken.start
                    characters.append(("\ufffd", range(at, at + n)))
                    at += n
                    break
    spans, first_byte = [], 0
    for end in ends:
        touched = [place for place, (_, held) in enumerate(characters) if held.start < end and first_byte < held.stop]
        if end > first_byte:
            spans.append((touched[0], touched[-1] + 1))
        else:
            begun = sum(held.start < end for _, held in characters)
            spans.append((begun, begun))
        first_byte = end
    return "".join(character for character, _ in characters), spans


@st.composite
def windows(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """Bytes cut out of a text of many scripts, cut again into tokens anywhere."""
    text = draw(st.text(alphabet="ab é汉😀‍\ufffd\n\0", max_size=12)).encode()
    text += draw(st.sampled_from([b"", b"\xff", b"\x80\x80", b"\xf0\x9f"]))
    text += draw(st.text(alphabet="z😀", max_size=2)).encode()
    first, last = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    window = text[first:last]
    cuts = sorted(draw(st.lists(st.integers(0, len(window)), max_size=8)))
    return window, [*cuts, len(window)]


@given(windows())
def test_spans_are_those_of_the_slow_walk_over_characters(window: tuple[bytes, list[int]]):
    text, ends = window
    decoded, spans = decode_spans(text, np.array(ends, dtype=np.uint32))
    assert (decoded, list(spans)) == slow_spans(text, ends)


@given(windows())
def test_the_text_is_pythons_decoding_with_replacement(window: tuple[bytes, list[int]]):
    assert decode_spans(window[0], np.array(window[1]))[0] == window[0].decode("utf-8", errors="replace")


@given(windows())
def test_spans_tile_the_text(window: tuple[bytes, list[int]]):
    text, spans = decode_spans(window[0], np.array(window[1]))
    assert spans[-1][1] == len(text)
    reached = 0
    for start, end in spans:
        assert start <= reached <= max(end, reached)
        assert reached - start <= 1  # only a shared character overlaps
        reached = max(end, reached)
    assert reached == len(text)


def test_tokens_that_share_a_character_share_its_span():
    text = "a😀b".encode()
    assert decode_spans(text, np.array([3, 5, 6])) == ("a😀b", ((0, 2), (1, 2), (2, 3)))


def test_a_character_cut_by_the_window_is_one_replacement_at_its_end_and_one_per_byte_at_its_start():
    cut = "é😀".encode()
    assert decode_spans(cut[1:5], np.array([1, 4])) == ("\ufffd\ufffd", ((0, 1), (1, 2)))


def test_no_tokens_no_spans():
    assert decode_spans(b"", np.zeros(0, dtype=np.uint32)) == ("", ())


@pytest.mark.parametrize(
    ("token", "shown"),
    [(b" court", " court"), (b" \xf0\x9f", r" \xf0\x9f"), (b"\xa9", r"\xa9"), ("é".encode(), "é"), (b"\n", "\n")],
)
def test_a_token_that_is_part_of_a_character_shows_its_bytes(token: bytes, shown: str):
    assert readable_token(token) == shown
