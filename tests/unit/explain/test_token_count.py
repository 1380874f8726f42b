"""The estimate of tokens beside what a real tokenizer counts."""

import gzip
import json
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.prompt_evidence import make_evidence, make_example

from featlas.explain.render import render_prompt
from featlas.explain.templates import load_shipped
from featlas.explain.token_count import estimate_tokens
from featlas.testing.scripted_chat import CountTokens, counting_with

CORPUS = Path(__file__).parents[3] / "data" / "demo-corpus.jsonl.gz"
SOURCES = {"wikipedia": "prose", "recipes": "recipes", "speeches": "speeches", "python": "code"}


@pytest.fixture(scope="module")
def count(smollm2_folder: Path) -> CountTokens:
    return counting_with(smollm2_folder)


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    """Forty documents of each kind."""
    found: dict[str, list[str]] = defaultdict(list)
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            kind = SOURCES[document["source"]]
            if len(found[kind]) < 40:
                found[kind].append(document["text"])
    return found


@pytest.mark.parametrize("kind", SOURCES.values())
def test_an_estimate_is_near_the_count_of_a_real_tokenizer(count: CountTokens, texts: dict[str, list[str]], kind: str):
    counted = sum(count(text) for text in texts[kind])
    assert sum(map(estimate_tokens, texts[kind])) == pytest.approx(counted, rel=0.15)


@pytest.mark.parametrize("template", load_shipped(), ids=lambda template: template.name)
def test_the_estimate_of_a_whole_prompt_is_near_the_count(
    count: CountTokens, texts: dict[str, list[str]], template: object
):
    words = iter(" ".join(texts["prose"]).replace("\n", " ").split(" "))

    def examples(n: int, **fires: float) -> tuple:
        return tuple(
            make_example([f" {next(words)}" for _ in range(40)], {int(at): value for at, value in fires.items()})
            for _ in range(n)
        )

    firing = {"20": 1.0, "25": 0.3}
    evidence = make_evidence(
        max_activation=1.0,
        top=examples(6, **firing),
        spread=examples(10, **firing),
        near_misses=examples(4),
        non_firing=examples(4),
        tokens=make_evidence().tokens * 7,
    )
    prompt = render_prompt(template.wording, evidence)
    text = prompt.system + prompt.user
    assert estimate_tokens(text) == pytest.approx(count(text), rel=0.15)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ("a", 1),
        (" court", 1),
        ("the court of law", 4),
        ("don't", 2),
        ("1234567", 3),
        ("a  \n\n b", 3),
        (" " * 200 + "x", 2),
        ("!", 1),
        ("=" * 50, 20),
    ],
)
def test_pieces_of_text_count_as_tokens(text: str, n: int):
    assert estimate_tokens(text) == n


def test_a_long_word_is_several_tokens_and_sooner_within_code():
    words = [estimate_tokens(f" {'a' * n}") for n in (7, 12, 17, 27)]
    assert words == [1, 2, 3, 5]
    assert [estimate_tokens(f"_{'a' * n}") for n in (3, 7, 11)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "low", "high"), [("こんにちは世界" * 10, 70, 160), ("Привет мир " * 10, 50, 120), ("😀" * 5, 5, 20)]
)
def test_other_scripts_cost_more_than_their_letters_in_english(text: str, low: int, high: int):
    assert low <= estimate_tokens(text) <= high


@given(st.text(st.characters()))
def test_any_text_has_a_count(text: str):
    n = estimate_tokens(text)
    assert isinstance(n, int)
    assert 0 <= n <= len(text.encode("utf-8", "surrogatepass"))


@given(st.text(max_size=50), st.text(max_size=50))
def test_two_texts_have_about_the_sum_of_their_tokens(first: str, second: str):
    both = estimate_tokens(f"{first}\n{second}")
    assert abs(both - estimate_tokens(first) - estimate_tokens(second)) <= 3


@pytest.mark.parametrize("unit", [" ", "a", "\n", " \n", "é", "_", "1", "'s", "⟪", "\t ", "a ", "\u3000"])
def test_a_text_of_a_hundred_thousand_signs_is_counted_at_once(unit: str):
    text = unit * (100_000 // len(unit))
    before = time.perf_counter()
    estimate_tokens(f"{text}x")
    assert time.perf_counter() - before < 0.5
