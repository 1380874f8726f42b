from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from featlas.api.schemas import TokenText
from featlas.api.token_text import Tokens, has_joiner, mark_text, snippet_window

FAMILY = "👩‍👩‍👧‍👦"


def tokens_of(pieces: list[bytes], fires: dict[int, float] | None = None, peak: int = 0) -> Tokens:
    fires = fires or {}
    return Tokens(
        text=b"".join(pieces),
        ends=np.cumsum([len(piece) for piece in pieces], dtype=np.int64),
        token_ids=np.arange(100, 100 + len(pieces)),
        positions=np.array(sorted(fires), dtype=np.uint16),
        values=np.array([fires[at] for at in sorted(fires)], dtype=np.float32),
        peak=peak,
    )


def segments(text: TokenText) -> list[str]:
    """The segments as a browser cuts them, by UTF-16 units."""
    units = text.text.encode("utf-16-le", errors="surrogatepass")
    starts = [0, *text.ends][: len(text.ends)]
    return [units[2 * a : 2 * b].decode("utf-16-le") for a, b in zip(starts, text.ends, strict=True)]


def test_plain_tokens_are_segments_and_only_what_fires_is_marked():
    found = mark_text(tokens_of([b"The", b" court", b" ruled"], {1: 2.5}, peak=1))
    assert segments(found) == ["The", " court", " ruled"]
    assert [(mark.segment, mark.value) for mark in found.marks] == [(1, 2.5)]
    (member,) = found.marks[0].tokens
    assert (member.position, member.token_id, member.token, member.value) == (1, 101, " court", 2.5)
    assert found.peak_segment == 1


def test_tokens_that_share_a_character_are_one_segment_and_keep_their_names():
    emoji = "😀".encode()
    found = mark_text(tokens_of([b"a", b" " + emoji[:2], emoji[2:], b"!"], {1: 1.0, 2: -3.0}, peak=2))
    assert segments(found) == ["a", " 😀", "!"]
    (mark,) = found.marks
    assert (mark.segment, mark.value) == (1, -3.0)
    assert [token.token for token in mark.tokens] == [r" \xf0\x9f", r"\x98\x80"]
    assert found.peak_segment == 1


@pytest.mark.parametrize(
    "whole",
    [FAMILY, "क्षि", "e\u0301\u0323", "🇩🇪", "\r\n", "👍🏽"],
    ids=["family", "devanagari", "combining", "flag", "crlf", "skin tone"],
)
def test_a_grapheme_is_never_cut(whole: str):
    """Each code point is a token of its own, all of them fire, and people see one character."""
    pieces = [b"x", *(character.encode() for character in whole), b"y"]
    found = mark_text(tokens_of(pieces, {at: 1.0 for at in range(1, len(pieces) - 1)}, peak=1))
    assert segments(found) == ["x", whole, "y"]
    (mark,) = found.marks
    assert len(mark.tokens) == len(whole)


def test_what_no_joiner_stands_in_has_edges_everywhere():
    others = (chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000)
    foreign = "".join(other for other in others if not has_joiner(other))
    assert len(foreign) > 1_000_000
    assert len(regex.findall(r"\X", foreign)) == len(foreign)


def test_a_window_keeps_positions_of_the_whole():
    pieces = [f" {at}".encode() for at in range(40)]
    found = mark_text(tokens_of(pieces, {2: 1.0, 20: 5.0, 22: 2.0}, peak=20), snippet_window(20))
    assert segments(found) == [f" {at}" for at in range(12, 29)]
    assert [(mark.segment, mark.tokens[0].position) for mark in found.marks] == [(8, 20), (10, 22)]
    assert found.peak_segment == 8


def test_a_window_at_the_edge_is_cut_off_there():
    pieces = [b"a", b"b", b"c"]
    assert segments(mark_text(tokens_of(pieces), snippet_window(0))) == ["a", "b", "c"]


def test_where_nothing_fires_the_position_to_show_is_marked_without_a_value():
    found = mark_text(tokens_of([b"a", b"b"], peak=1))
    assert [(mark.segment, mark.value, mark.tokens[0].value) for mark in found.marks] == [(1, None, None)]


def test_a_text_that_begins_and_ends_inside_a_character_shows_what_is_missing():
    emoji = "😀".encode()
    found = mark_text(tokens_of([emoji[2:], b"ok", emoji[:2]], {0: 1.0, 2: 2.0}, peak=2))
    assert segments(found) == ["\ufffd\ufffd", "ok", "\ufffd"]
    assert [mark.segment for mark in found.marks] == [0, 2]


def test_markup_and_very_long_tokens_are_text():
    pieces = [b"<script>", b"x" * 2000, b"</script>"]
    assert segments(mark_text(tokens_of(pieces))) == ["<script>", "x" * 2000, "</script>"]


def test_tokens_without_bytes_lie_in_a_neighbours_segment():
    found = mark_text(tokens_of([b"a", b"", b"b"], {1: 1.0}, peak=1))
    assert "".join(segments(found)) == "ab"
    assert [mark.tokens[0].position for mark in found.marks] == [1]


TEXTS = st.text(st.sampled_from(list("ab \n\r\té中ا؟ש\u0301\u200d👩👧😀🇩🇪क्षि\u0000")), max_size=30)


@given(TEXTS, st.lists(st.integers(0, 120), max_size=20), st.randoms(use_true_random=False))
@example(FAMILY, [4, 9, 11], None)
def test_segments_tile_the_text_at_graphemes_and_every_firing_is_marked_once(text, cuts, random):
    content = text.encode()
    bounds = sorted({0, *(cut % (len(content) + 1) for cut in cuts), len(content)})
    pieces = [content[a:b] for a, b in pairwise(bounds)]
    fires = {at: 1.0 + at for at in range(len(pieces)) if random is None or random.random() < 0.5}
    found = mark_text(tokens_of(pieces, fires))
    assert found.text == text
    assert "".join(segments(found)) == text
    edges = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    lengths = np.cumsum([0, *(len(segment) for segment in segments(found))]).tolist()
    assert set(lengths) <= edges
    marked = [token.position for mark in found.marks for token in mark.tokens if token.value is not None]
    assert sorted(marked) == sorted(fires)


@given(st.text(st.sampled_from("ab \r\n\t\0é\u0301\u200d👩🏽🇩🇪क\u094dष각가❤\ufe0fم\u0600\u0e33")))
@example("a\u0301b\r\n\u0600c")
def test_segments_of_single_characters_are_the_graphemes(text: str):
    """Wherever plain and other characters meet: only there is it worked out where graphemes end."""
    found = mark_text(tokens_of([character.encode() for character in text]))
    assert segments(found) == regex.findall(r"\X", text)


@given(
    st.text(st.sampled_from("ab \r\n\u0301\u200d👩🇩क각\ufe0fم"), min_size=1, max_size=40).map(str.encode),
    st.lists(st.integers(0, 160), max_size=30),
    st.data(),
)
def test_a_window_shows_the_same_segments_as_the_whole(text: bytes, cuts: list[int], data: st.DataObject):
    """Although only what lies around the window is looked at; tokens may be empty or end inside characters."""
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))} | set(cuts[:1]) & {0})
    pieces = [text[a:b] for a, b in pairwise(edges)] + [b""] * data.draw(st.integers(0, 1))
    peak = data.draw(st.integers(0, len(pieces) - 1))
    tokens = tokens_of(pieces, {at: at + 1.0 for at in range(len(pieces))}, peak)
    window = range(data.draw(st.integers(-3, peak)), data.draw(st.integers(peak + 1, len(pieces) + 3)))
    whole, found = mark_text(tokens), mark_text(tokens, window)
    segment_of = {token.position: mark.segment for mark in whole.marks for token in mark.tokens}
    first, last = segment_of[max(window.start, 0)], segment_of[min(window.stop, len(pieces)) - 1]
    assert segments(whole)[first : last + 1] == segments(found)
    assert found.peak_segment == whole.peak_segment - first
    expected = [mark for mark in whole.marks if first <= mark.segment <= last]
    assert [(mark.segment - first, mark.tokens) for mark in expected] == [(m.segment, m.tokens) for m in found.marks]
