import pytest

from featlas.explain.lint import CODES, lint_label


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (None, ("empty",)),
        ("  ", ("empty",)),
        ("legal courts", ()),
        ('"court" in any spelling', ()),
        ('"is", "are", "was" and 7 more', ()),
        ('the token "**"', ()),
        ('the token "<think>"', ()),
        ("no-frills airlines", ()),
        ("random access memory", ("no_pattern",)),
        ("the verb to think", ()),
        ("semantic_label: courts", ("echo",)),
        ("This feature activates on courts", ("echo",)),
        ("The user wants a label", ("reasoning",)),
        ("<think>courts", ("reasoning", "markup")),
        ("Let me look at these", ("reasoning",)),
        ("one two three four five six seven eight nine", ("too_long",)),
        ("x" * 81, ("too_long",)),
        ("**courts**", ("markup",)),
        ('{"label": 1}', ("markup",)),
        ("courts\nof law", ("markup",)),
        ("# Courts", ("markup",)),
        ("no clear pattern", ("no_pattern",)),
        ("No pattern", ("no_pattern",)),
        ("unclear", ("no_pattern",)),
        ("various tokens", ("no_pattern",)),
    ],
)
def test_what_is_wrong_with_a_text(text: str | None, codes: tuple[str, ...]):
    assert codes == lint_label(text)


def test_a_text_that_many_features_share_is_repeated():
    assert lint_label("digits", n_same=20, n_labels=100) == ()
    assert lint_label("digits", n_same=21, n_labels=100) == ("repeated",)
    assert lint_label("digits", n_same=90, n_labels=9000) == ()
    assert lint_label("digits", n_same=91, n_labels=9000) == ("repeated",)


def test_words_of_the_prompt_are_an_echo():
    prompt = "Say what these examples have in common."
    assert lint_label("what these examples have in common", prompt=prompt) == ("echo",)
    assert lint_label("these examples", prompt=prompt) == ()


def test_codes_come_in_one_order():
    found = lint_label("**The user wants** " + "x" * 90)
    assert list(found) == [code for code in CODES if code in found]
    assert len(found) == 2 or len(found) == 3
