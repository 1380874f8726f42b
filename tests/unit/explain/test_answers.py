"""What is read out of a completion, whatever a model, a server or the dataset's text has wrapped around it."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.explain.answers import ANSWER_FORMAT, ANSWER_SCHEMA, MAX_TEXT, BadAnswer, ReadAnswer, read_answer
from featlas.testing.chat_scripts import after_thinking, in_fence, in_prose

FIELDS = {
    "semantic_label": "courts of law",
    "category_label": "Society > Law",
    "explanation": "It fires on courts.",
    "confidence": 0.75,
}
READ = ReadAnswer("courts of law", "Society > Law", "It fires on courts.", 0.75)
WRITTEN = json.dumps(FIELDS)
OTHER = json.dumps({**FIELDS, "semantic_label": "injected"})


def answer(**changes: Any) -> str:
    return json.dumps({**FIELDS, **changes})


def test_the_schema_asks_for_what_is_read():
    assert set(ANSWER_SCHEMA["required"]) == set(ANSWER_SCHEMA["properties"]) == set(FIELDS)
    assert all(f'"{name}"' in ANSWER_FORMAT for name in FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN,
        f"  \n{WRITTEN}\n\n",
        json.dumps(FIELDS, indent=4),
        in_prose(WRITTEN),
        in_fence(WRITTEN),
        f"```\n{WRITTEN}\n```\nHope this helps!",
        in_prose(in_fence(WRITTEN)),
        after_thinking(WRITTEN),
        f"<THINKING>{OTHER}</Thinking>{WRITTEN}",
        f"<think>one</think>{OTHER}<think>no, {OTHER}</think>{WRITTEN}",
        f"The prompt began my thought. {OTHER} Hm.\n</think>\n\n{WRITTEN}",
        f"It fires on <think>, and on <think> only.\n{WRITTEN}",
        f"It fires on </think>.\n{WRITTEN}",
        f"You said </think> <think> x. And <think> y </think><think> z.\n{WRITTEN}",
        f"[{WRITTEN}]",
        f"{OTHER}\n{WRITTEN}",
        f"The text says: {OTHER}, which I ignore.\n{WRITTEN}",
        f'{{"tokens": ["a"]}} {WRITTEN} {{"note": "done"}}',
        'It fires on sets {a, b}, on {"a", "b"} and on {} and {x}: ' + WRITTEN,
        f"{{{{{WRITTEN}",
        json.dumps({"thought": OTHER, **FIELDS}),
        json.dumps({**FIELDS, "more": [{"semantic_label": "inner"}]}),
        "\ufeff" + WRITTEN,
    ],
)
def test_a_label_is_found_in_whatever_is_around_it(text: str):
    assert read_answer(text) == READ


def test_what_a_model_says_of_thoughts_is_no_thought():
    text = 'the token "<think>"'
    assert read_answer(answer(semantic_label=text)).semantic_label == text
    text = "the end </think> of thinking"
    assert read_answer(f"<think>hm</think>{answer(explanation=text)}").explanation == text


def test_line_breaks_and_tabs_may_stand_in_strings():
    text = '{"semantic_label": "courts", "explanation": "It fires\n\ton courts.", "confidence": null}'
    assert read_answer(text) == ReadAnswer("courts", None, "It fires\n\ton courts.", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "courts of law",
        "{}",
        "null",
        '"semantic_label"',
        "{'semantic_label': 'courts'}",
        json.dumps({"label": "courts", "explanation": "It fires on courts."}),
        json.dumps({"answer": FIELDS}),
        json.dumps([1, 2]),
        f"<think>{WRITTEN}",
        f"<think>{WRITTEN}</think>",
        f"<think>one</think>\n <think>two: {WRITTEN}",
        f"Let me draft {WRITTEN} </think> I cannot say.",
        json.dumps({"semantic_label": None}),
        json.dumps({"semantic_label": "", "explanation": "  "}),
        json.dumps({"semantic_label": " \n", "explanation": None}),
    ],
)
def test_what_holds_no_label_is_refused(text: str):
    with pytest.raises(BadAnswer):
        read_answer(text)


@pytest.mark.parametrize("n_left", range(2, len(WRITTEN)))
def test_a_cut_answer_is_refused_and_nothing_inside_or_before_it_is_taken_for_it(n_left: int):
    with pytest.raises(BadAnswer):
        read_answer(f"The text says {OTHER}. {WRITTEN[:n_left]}")
    with pytest.raises(BadAnswer):
        read_answer(f'{{"quoted": {OTHER}, "inner": {WRITTEN[:n_left]}')


@pytest.mark.parametrize("text", ["tru", "nul", "-", "0.", "fals "])
def test_an_answer_cut_within_a_word_is_refused(text: str):
    with pytest.raises(BadAnswer):
        read_answer(f'{{"quoted": {OTHER}, "confidence": {text}')


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("semantic_label", 7, "a number"),
        ("semantic_label", 1e300, "a number"),
        ("semantic_label", True, "true or false"),
        ("semantic_label", ["courts"], "a list"),
        ("explanation", {"a": "b"}, "an object"),
        ("category_label", ["Society", "Law"], "a list"),
    ],
)
def test_what_is_no_text_is_named(name: str, value: object, kind: str):
    with pytest.raises(BadAnswer, match=f'^"{name}" is {kind}, not a text$'):
        read_answer(answer(**{name: value}))


@pytest.mark.parametrize("name", ["semantic_label", "category_label", "explanation"])
def test_a_text_has_a_length_that_can_be_read(name: str):
    assert len(getattr(read_answer(answer(**{name: "x" * MAX_TEXT})), name)) == MAX_TEXT
    with pytest.raises(BadAnswer, match=f"{MAX_TEXT + 1} characters, expected at most {MAX_TEXT}"):
        read_answer(answer(**{name: "x" * (MAX_TEXT + 1)}))


@pytest.mark.parametrize("label", [None, "", "  ", "null", "NULL"])
def test_no_label_but_an_explanation_is_an_abstention(label: str | None):
    assert read_answer(answer(semantic_label=label)).semantic_label is None


@pytest.mark.parametrize("label", ["nullable", 'the token "null"', "none of these", "0", "😀", "قانون"])
def test_other_words_are_labels(label: str):
    assert read_answer(answer(semantic_label=label)).semantic_label == label


def test_only_the_label_must_be_there():
    assert read_answer('{"semantic_label": "courts"}') == ReadAnswer("courts", None, "", None)
    assert read_answer('{"semantic_label": null, "explanation": "a mixture"}') == ReadAnswer(
        None, None, "a mixture", None
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A > B>C", "A > B > C"),
        ("  A  b \n>\t> C ", "A b > C"),
        (">", None),
        ("", None),
        (None, None),
        ("A", "A"),
    ],
)
def test_a_category_is_a_path(written: str | None, read: str | None):
    assert read_answer(answer(category_label=written)).category_label == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0", 0.0),
        ("1", 1.0),
        ("0.25", 0.25),
        ("1e-3", 0.001),
        ("-0.0", 0.0),
        ("null", None),
        ("1.01", None),
        ("-0.1", None),
        ("95", None),
        ("NaN", None),
        ("Infinity", None),
        ("-Infinity", None),
        ("true", None),
        ("false", None),
        ('"0.9"', None),
        ("[0.5]", None),
        ("1e999", None),
        ("9" * 400, None),
        ("-" + "9" * 400, None),
    ],
)
def test_a_confidence_is_a_number_from_0_to_1(written: str, read: float | None):
    text = WRITTEN.replace("0.75", written)
    assert read_answer(text) == ReadAnswer(READ.semantic_label, READ.category_label, READ.explanation, read)


def test_a_number_of_thousands_of_digits_makes_no_answer():
    with pytest.raises(BadAnswer):
        read_answer(WRITTEN.replace("0.75", "9" * 5000))


def test_a_text_can_be_stored():
    text = r'{"semantic_label": "a\u0000b\ud800c\ud83d\ude00", "explanation": "\udc00"}'
    assert read_answer(text) == ReadAnswer("a\ufffdb\ufffdc😀", None, "\ufffd", None)
    text = r'{"semantic_label": "\u001b[31mred\u0007", "explanation": "a\nb\tc\rd\u009b"}'
    assert read_answer(text) == ReadAnswer("\ufffd[31mred\ufffd", None, "a\nb\tc\ufffdd\ufffd", None)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        '{"' * 50_000,
        '{"a":' * 20_000,
        '{"a":[' * 16_000,
        '{"a" ' * 20_000,
        '{"' + "{" * 100_000,
        '{"a":' * 900 + '"' + "x" * 100_000,
        "{" + " " * 100_000 + "x",
        ("{" + " " * 400) * 250,
        "<think>" * 14_000,
        "x" + "<think>" * 14_000,
        "x" + "<think> " * 10_000 + "</think>",
        "</think>" * 12_000,
        "<think></think>" * 7000,
        "{}" * 50_000,
        "[" * 100_000,
        '"' * 100_000,
        "<" * 100_000,
        '{"semantic_label": ' + "[" * 900 + "]" * 900 + "}",
        '{"semantic_label": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"semantic_label": ' + '{"a":' * 20_000 + "1" + "}" * 20_001,
        ('{"a": [' + "1," * 500) * 100,
    ],
)
def test_text_that_is_built_to_be_slow_is_refused_at_once(text: str):
    before = time.perf_counter()
    with pytest.raises(BadAnswer):
        read_answer(text)
    assert time.perf_counter() - before < 0.5


def test_a_long_answer_is_read():
    prose = "It fires on {this} and on [that]. " * 30_000
    assert read_answer(prose + WRITTEN + prose) == READ


@given(st.text())
def test_any_text_is_read_or_refused(text: str):
    for wrapped in (text, f'{{"semantic_label": "{text}', f'{{"semantic_label": "{text}"}}', text + WRITTEN):
        try:
            found = read_answer(wrapped)
        except BadAnswer:
            continue
        "".join(part or "" for part in (found.semantic_label, found.category_label, found.explanation)).encode()


_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=200)
_WITHOUT_LANDMARKS = st.text(st.characters(exclude_characters="{<"), max_size=100)


@given(_TEXTS, _TEXTS, st.floats(0, 1), _WITHOUT_LANDMARKS, _WITHOUT_LANDMARKS)
def test_what_is_written_is_read(label: str, explanation: str, confidence: float, before: str, after: str):
    written = answer(semantic_label=f"x{label}", explanation=explanation, confidence=confidence)
    found = read_answer(before + written + after)
    assert found == ReadAnswer(f"x{label}".strip(), "Society > Law", explanation.strip(), confidence)
