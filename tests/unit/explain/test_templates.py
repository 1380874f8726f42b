"""Templates take literal variables of an allow-list and nothing else, and their files hold what they say."""

import json
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.domain import EvidenceOptions, PromptWording
from featlas.errors import InputError
from featlas.explain.templates import (
    EVIDENCE,
    EVIDENCE_NUMBERS,
    EVIDENCE_RANGES,
    MAX_CHARACTERS,
    VARIABLES,
    NamedWording,
    check_wording,
    find_problems,
    find_variables,
    from_json,
    load_shipped,
    substitute,
    to_json,
)

GOOD = PromptWording("You explain features.", "{examples}\n{answer_format}\n")
VALUES = {name: f"<{name}>" for name in VARIABLES}
SHIPPED = {template.name: template for template in load_shipped()}


def with_user(text: str, **evidence: int) -> PromptWording:
    return PromptWording("", text, replace(EvidenceOptions(), **evidence))


def file_of(*templates: dict[str, Any]) -> dict[str, Any]:
    return {"featlas_prompt_templates": 1, "templates": list(templates)}


ONE = {"name": "mine", "user": "{tokens} {answer_format}"}


# Replacing


def test_every_variable_is_replaced_where_it_stands() -> None:
    text = " ".join(f"{{{name}}}" for name in VARIABLES)
    assert " ".join(VALUES.values()) == substitute(text, VALUES)
    assert "<tokens><tokens>" == substitute("{tokens}{tokens}", VALUES)


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "x", "nested": {"a": [1, {}]}}',
        "{}",
        "{0} {1!r} {:>10} {unknown} {UNKNOWN}",
        "{tokens.__class__.__mro__}",
        "{tokens[0]} {tokens!r} {tokens:>99999999}",
        "{ tokens } {Tokens} {tokens",
        "%s %(tokens)s $tokens ${{x}} {%tokens%}",
        "\\{\\}",
    ],
)
def test_every_other_brace_stays_as_it_is(text: str) -> None:
    assert text == substitute(text, VALUES)


def test_two_braces_mean_nothing_special() -> None:
    assert "{<tokens>} {{}} {{x}}" == substitute("{{tokens}} {{}} {{x}}", VALUES)
    assert "{<tokens>" == substitute("{{tokens}", VALUES)


def test_values_are_not_looked_at_again() -> None:
    values = {**VALUES, "examples": "{tokens} {answer_format} {examples}", "tokens": "{examples}"}
    assert "{tokens} {answer_format} {examples} {examples}" == substitute("{examples} {tokens}", values)
    assert r"\g<0> \1" == substitute("{tokens}", {"tokens": r"\g<0> \1"})


def test_a_variable_cannot_be_put_together_of_values() -> None:
    assert "{tokens}" == substitute("{{model}}", {"model": "tokens"})


def test_only_names_of_the_list_are_replaced_whatever_values_there_are() -> None:
    assert "{api_key} <x>" == substitute("{api_key} {model}", {"api_key": "secret", "model": "<x>"})


def test_a_missing_value_is_told_and_not_left_in_the_prompt() -> None:
    with pytest.raises(InputError, match=r"no value for the variable \{logits\}"):
        substitute("{tokens} {logits}", {"tokens": "t"})


@given(st.lists(st.sampled_from([*(f"{{{name}}}" for name in VARIABLES), "{", "}", '"', "x", "{y}", "\n", "!r"])))
def test_replacing_is_splitting_at_the_variables(pieces: list[str]) -> None:
    """What a slow reader does from left to right, one brace after another."""
    text, expected, at = "".join(pieces), "", 0
    while at < len(text):
        name = next((name for name in VARIABLES if text.startswith(f"{{{name}}}", at)), None)
        expected += text[at] if name is None else VALUES[name]
        at += 1 if name is None else len(name) + 2
    assert expected == substitute(text, VALUES)


# What can be saved


def test_a_good_wording_has_no_problems() -> None:
    assert () == find_problems(GOOD)
    check_wording(GOOD)
    assert ("examples", "answer_format") == find_variables(GOOD)


@pytest.mark.parametrize("name", EVIDENCE)
def test_one_variable_of_evidence_is_enough(name: str) -> None:
    assert () == find_problems(with_user(f"{{{name}}} {{answer_format}}"))


@pytest.mark.parametrize("name", sorted(VARIABLES.keys() - set(EVIDENCE)))
def test_other_variables_are_no_evidence(name: str) -> None:
    (problem,) = find_problems(with_user(f"{{{name}}} {{answer_format}}"))
    assert "neither text shows anything of the feature; expected at least one of {examples}, {contexts}" in problem


def test_the_texts_may_share_what_is_needed() -> None:
    assert () == find_problems(PromptWording("{answer_format}", "{tokens}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{exmples}", "user text, line 1: there is no variable {exmples}; did you mean {examples}?"),
        ("\n\n{zzz}", "user text, line 3: there is no variable {zzz}; expected one of {examples}, {contexts},"),
        ("{label}", "there is no variable {label}"),
        ("{__class__}", "there is no variable {__class__}"),
        ("{tokens.__class__}", "line 1: {tokens.__class__} is not a variable; write {tokens} and nothing else"),
        ("a\n{tokens!r}", "line 2: {tokens!r} is not a variable; write {tokens}"),
        ("{tokens[0]}", "{tokens[0]} is not a variable; write {tokens}"),
        ("{tokens:>9}", "{tokens:>9} is not a variable; write {tokens}"),
        ("{ tokens }", "{ tokens } is not a variable; write {tokens}"),
        ("{Tokens}", "{Tokens} is not a variable; write {tokens}"),
        ("{non_firing.x}", "{non_firing.x} is not a variable; write {non_firing}"),
        ("{tokens\n}", "{tokens } is not a variable"),
        ("{tokens " + "x" * 100 + "}", "{tokens " + "x" * 32 + "… is not a variable"),
        ("a\0b", "user text, line 1: the character U+0000 does not show"),
        ("\x1b[31m", "the character U+001B does not show"),
        ("a\r\nb", "line 1: the character U+000D does not show"),
        ("\x9b", "the character U+009B does not show"),
        ("\ud800", "the character U+D800 does not show"),
        ("x" * (MAX_CHARACTERS + 1), "the user text has 20,"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_with_its_place(text: str, message: str) -> None:
    wording = with_user("{examples} {answer_format} " + text)
    (problem,) = find_problems(wording)[:1]
    assert message in problem
    with pytest.raises(InputError):
        check_wording(wording)


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "x"}',
        "{}",
        "{0}",
        "{x.y}",
        "{x!r}",
        "{{}}",
        "{{x y}}",
        '{"examples": 3}',
        "{examplesque thing}",
        "\t\n",
        "{tokens",
    ],
)
def test_braces_that_are_no_mistake_are_let_through(text: str) -> None:
    assert () == find_problems(with_user("{examples} {answer_format} " + text))


def test_the_system_text_is_checked_too() -> None:
    (problem,) = find_problems(replace(GOOD, system_text="a\n{tokns}"))
    assert problem.startswith("system text, line 2: there is no variable {tokns}")


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_an_empty_user_text_is_refused(text: str) -> None:
    wording = PromptWording("{examples} {answer_format}", text)
    assert ("the user text is empty; expected what the model is asked",) == find_problems(wording)


def test_without_a_format_of_the_answer_nothing_can_be_read() -> None:
    (problem,) = find_problems(with_user("{examples}"))
    assert problem.startswith("neither text has {answer_format}")


@pytest.mark.parametrize("name", EVIDENCE_RANGES)
@pytest.mark.parametrize(("side", "beyond"), [(0, -1), (1, 1)])
def test_numbers_of_evidence_have_their_ranges(name: str, side: int, beyond: int) -> None:
    bound = EVIDENCE_RANGES[name][side]
    at_bound = with_user("{examples} {answer_format}", **{name: bound})
    assert () == find_problems(at_bound)
    out = with_user("{examples} {answer_format}", **{name: bound + beyond})
    low, high = EVIDENCE_RANGES[name]
    assert (f"{name} {bound + beyond}: expected {low} … {high}",) == find_problems(out)


@pytest.mark.parametrize(
    ("variable", "numbers"),
    [
        ("examples", {"n_top": 0, "n_spread": 0}),
        ("contexts", {"n_top": 0}),
        ("near_misses", {"n_near_misses": 0}),
        ("non_firing", {"n_non_firing": 0}),
        ("negatives", {"n_near_misses": 0, "n_non_firing": 0}),
        ("tokens", {"n_tokens": 0}),
        ("logits", {"n_logits": 0}),
    ],
)
def test_a_variable_that_would_always_be_empty_is_refused(variable: str, numbers: dict[str, int]) -> None:
    text = f"{{{variable}}} {{answer_format}}"
    (problem,) = find_problems(with_user(text, **numbers))
    assert problem.startswith(f"{{{variable}}} would be empty: {' and '.join(numbers)} ")
    one_is_enough = dict(list(numbers.items())[1:])
    assert () == find_problems(with_user(text, **one_is_enough))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as refused:
        check_wording(PromptWording("{x_y}", "\x07", EvidenceOptions(n_top=-1, window=7)))
    message = str(refused.value)
    for part in ("{x_y}", "U+0007", "{answer_format}", "neither text shows", "n_top -1", "window 7: expected 8 … 128"):
        assert part in message


def test_every_number_of_the_evidence_has_a_meaning_and_a_range_that_holds_its_default() -> None:
    names = [field.name for field in fields(EvidenceOptions)]
    assert names == list(EVIDENCE_NUMBERS) == list(EVIDENCE_RANGES)
    for name, (low, high) in EVIDENCE_RANGES.items():
        assert low <= getattr(EvidenceOptions(), name) <= high


# Files


def test_four_templates_are_shipped_and_the_general_one_comes_first() -> None:
    assert ["general", "contrastive", "rare", "original"] == list(SHIPPED)
    assert 4 == len({template.wording.content_hash for template in SHIPPED.values()})


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_templates_can_be_saved_and_say_what_they_must(name: str) -> None:
    template = SHIPPED[name]
    assert () == find_problems(template.wording)
    assert template.description
    words = f"{template.wording.system_text} {template.wording.user_text}"
    for needed in ("never an instruction", "⟪so⟫7", "null", "JSON", "double quotes"):
        assert needed in words, needed


def test_the_original_asks_with_tokens_contexts_and_statistics() -> None:
    wording = SHIPPED["original"].wording
    assert ("contexts", "tokens", "statistics", "answer_format") == find_variables(wording)
    shown = (wording.evidence.n_top, wording.evidence.n_tokens, wording.evidence.n_spread)
    assert (10, 20, 0) == shown


@pytest.mark.parametrize("name", ["general", "contrastive", "rare"])
def test_the_others_show_weak_firings_and_silence(name: str) -> None:
    used = find_variables(SHIPPED[name].wording)
    assert "examples" in used
    assert {"negatives", "near_misses"} & set(used)
    assert SHIPPED[name].wording.evidence.n_spread > 0


def test_what_is_exported_is_what_is_imported() -> None:
    written = json.loads(json.dumps(to_json(SHIPPED.values())))
    assert tuple(SHIPPED.values()) == from_json(written)


def test_an_export_names_every_part() -> None:
    template = NamedWording("mine", "why", GOOD)
    expected = {
        "name": "mine",
        "description": "why",
        "system": GOOD.system_text,
        "user": GOOD.user_text,
        "evidence": asdict(GOOD.evidence),
    }
    assert {"featlas_prompt_templates": 1, "templates": [expected]} == to_json([template])


def test_what_a_file_leaves_out_has_its_default() -> None:
    (template,) = from_json(file_of({**ONE, "evidence": {"n_tokens": 3}}))
    assert NamedWording("mine", "", with_user("{tokens} {answer_format}", n_tokens=3)) == template


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "this is no file of prompt templates"),
        ([], "this is no file of prompt templates"),
        ("x", "this is no file of prompt templates"),
        ({"templates": [ONE]}, "this is no file of prompt templates"),
        ({**file_of(ONE), "featlas_prompt_templates": 2}, "templates in format 2; this version of Featlas reads"),
        ({**file_of(ONE), "featlas_prompt_templates": True}, "templates in format True"),
        ({**file_of(ONE), "more": 1}, "unknown keys beside the templates: more"),
        (file_of(), "expected a list of 1 … 1000 templates"),
        ({"featlas_prompt_templates": 1}, "expected a list of 1 … 1000 templates"),
        ({"featlas_prompt_templates": 1, "templates": {"a": ONE}}, "expected a list"),
        (file_of("x"), "template 1: expected an object with name, description, system, user, evidence"),
        (file_of(ONE, {"user": "x"}), "template 2: 'name' is missing"),
        (file_of({"name": "mine"}), "template 'mine': 'user' is missing"),
        (file_of({**ONE, "user": 3}), "template 'mine': 'user': expected a text"),
        (file_of({**ONE, "name": 3}), "template 1: 'name': expected a text"),
        (file_of({**ONE, "secret": 3}), "template 'mine': unknown key 'secret'"),
        (file_of({**ONE, "evidence": []}), "'evidence': expected an object with n_top,"),
        (file_of({**ONE, "evidence": {"n_all": 3}}), "'evidence': unknown key 'n_all'"),
        (file_of({**ONE, "evidence": {"n_top": 1.5}}), "'evidence': n_top 1.5: expected a whole number"),
        (file_of({**ONE, "evidence": {"n_top": True}}), "n_top True: expected a whole number"),
        (file_of({**ONE, "evidence": {"n_top": "3"}}), "n_top '3': expected a whole number"),
        (file_of({**ONE, "evidence": {"n_top": 51}}), "template 'mine': n_top 51: expected 0 … 50"),
        (file_of({**ONE, "user": "{tokns}"}), "template 'mine': user text, line 1: there is no variable {tokns}"),
        (file_of(ONE, {**ONE, "name": " mine "}), "two templates are named 'mine'"),
    ],
)
def test_a_bad_file_says_what_is_wrong_with_it(content: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        from_json(content)
    assert message in str(refused.value)


def test_everything_that_is_wrong_with_a_file_is_told_at_once() -> None:
    with pytest.raises(InputError) as refused:
        from_json(file_of({**ONE, "user": "{x_y}"}, ONE, {"name": "third"}))
    message = str(refused.value)
    assert "template 'mine': user text" in message
    assert "template 'third': 'user' is missing" in message
