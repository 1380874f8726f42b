"""Many questions over real HTTP: each is answered or fails under its cause, and none is asked twice."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.asking import Keeper, ask_many, ask_script, chunked, first_then, is_repair, item_of, label_of
from tests.builders.chat import question

from featlas.domain import FailureCause
from featlas.explain.asking import MIN_OUTAGE, AskTotals, Item, figures, question_key
from featlas.explain.pacing import Ledger
from featlas.explain.prices import Price
from featlas.explain.token_count import OVERHEAD, estimate_tokens
from featlas.testing.chat_scripts import (
    MIXED_FAILED,
    Answer,
    ChatRequest,
    CloseSocket,
    Delay,
    Raw,
    Refuse,
    Status,
    Step,
    Truncate,
    answer_label,
    answer_mixed,
    delayed,
    label_answer,
    mixed_kind,
)
from featlas.testing.scripted_chat import ScriptedChat, count_words, running_chat_server

# Everything is answered


def test_all_questions_are_answered_once_and_kept():
    found = ask_script(delayed(answer_label, 0.02), 60, concurrency=5)
    assert found.error is None
    assert found.labels == {at: label_of(item_of(at).question.user) for at in range(60)}
    assert Counter(request.user for request in found.requests) == {item_of(at).question.user: 1 for at in range(60)}
    assert (found.totals.n_answered, found.totals.n_known, found.totals.failures) == (60, 0, {})
    assert sorted(outcome.item.feature_index for outcome in found.done) == list(range(60))
    assert found.peak_in_flight == 5


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_questions_need_no_more_callers(n: int):
    found = ask_script(answer_label, n, concurrency=8)
    assert (len(found.labels), len(found.requests), found.error) == (n, n, None)


@pytest.mark.parametrize("concurrency", [1, 3, 24])
def test_no_more_calls_run_at_once_than_allowed(concurrency: int):
    found = ask_script(delayed(answer_label, 0.02 * concurrency), 50, concurrency=concurrency)
    assert len(found.labels) == 50
    assert found.peak_in_flight == concurrency


def test_questions_are_fetched_when_they_are_needed():
    n_fetched, ahead = 0, []

    def fetch() -> Iterator[Sequence[Item]]:
        nonlocal n_fetched
        for chunk in chunked([item_of(at) for at in range(120)], 4):
            n_fetched += len(chunk)
            yield chunk

    def note(request: ChatRequest) -> Step:
        ahead.append(n_fetched - request.n)
        return Delay(0.01, answer_label(request))

    with running_chat_server(note) as chat:
        found = ask_many(chat, fetch(), concurrency=3)
    assert len(found.labels) == 120
    assert max(ahead) <= 2 * 3 + 3 + 2 * 4  # waiting, in flight, and the chunk that waits for its place


def test_whatever_servers_and_models_do_is_told_apart():
    found = ask_script(answer_mixed, 90, concurrency=20, max_retries=3)
    kinds = {at: mixed_kind(item_of(at).question.user) for at in range(90)}
    assert set(MIXED_FAILED) < set(kinds.values())
    causes = {"refuse": "refused", "truncate": "truncated", "broken": "bad_answer"}
    assert found.causes == {at: causes[kind] for at, kind in kinds.items() if kind in MIXED_FAILED}
    answered = [at for at, kind in kinds.items() if kind not in MIXED_FAILED]
    assert found.labels == {at: label_of(item_of(at).question.user) for at in answered}
    assert found.totals.n_answered == len(answered)
    assert found.totals.failures == Counter(found.causes.values())
    assert found.totals.n_retries == sum(kind.endswith("_once") for kind in kinds.values())
    assert found.totals.n_repairs == sum(kind in ("truncate", "broken") for kind in kinds.values())
    assert found.ledger.n_requests == len(found.requests) == 90 + found.totals.n_retries + found.totals.n_repairs


def test_the_answer_says_what_it_took():
    found = ask_script(answer_label, 1)
    outcome = found.outcomes[0]
    assert outcome.answer is not None
    user = item_of(0).question.user
    assert outcome.answer.text == label_answer(user)
    n_in = count_words(question().system) + count_words(user)
    assert (outcome.answer.n_tokens_in, outcome.answer.n_tokens_out) == (n_in, count_words(label_answer(user)))
    assert (outcome.cause, outcome.message, outcome.is_known) == (None, "", False)
    assert (found.ledger.n_tokens_in, found.ledger.n_tokens_out) == (n_in, outcome.answer.n_tokens_out)


# Failures and their causes


@pytest.mark.parametrize(
    ("step", "cause", "n_requests"),
    [
        (Status(500), "server", 2),
        (Status(429, {"Retry-After": "0.01"}), "rate_limit", 2),
        (CloseSocket(), "connection", 2),
        (Delay(0.5, Answer("late")), "timeout", 2),
        (Raw("[]"), "bad_answer", 2),
        (Status(400, message="too long"), "request", 1),
        (Status(404, message="no such model"), "request", 1),
        (Refuse("I will not."), "refused", 1),
        (Refuse(is_filtered=True), "refused", 1),
    ],
)
def test_what_fails_for_good_has_its_cause(step: Step, cause: str, n_requests: int):
    found = ask_script(lambda _: step, 1, max_retries=1, timeout_s=0.2)
    (outcome,) = found.keeper.saved
    assert (str(outcome.cause), outcome.read) == (cause, None)
    assert outcome.message
    assert len(found.requests) == n_requests
    assert found.totals.failures == {cause: 1}
    assert (outcome.answer is None) == (cause != "refused")
    assert (found.ledger.n_tokens_in > 0) == (cause == "refused")


def test_a_refusal_is_kept_in_its_words_and_paid_for():
    outcome = ask_script(lambda _: Refuse("I will not."), 1).outcomes[0]
    assert (outcome.message, outcome.answer and outcome.answer.n_tokens_out) == ("I will not.", 4)


# The one repair


def test_an_unreadable_answer_is_asked_for_once_more_with_what_was_wrong():
    found = ask_script(first_then(Answer("Courts, I think.")), 1)
    assert found.labels == {0: label_of(item_of(0).question.user)}
    first, second = found.requests
    assert second.user.startswith(first.user + "\n\nYour last answer could not be read: there is no JSON object")
    assert second.user.endswith("Answer with the JSON object alone.")
    assert second.body["max_tokens"] == first.body["max_tokens"] == 77
    outcome = found.outcomes[0]
    n_in = 2 * count_words(first.system) + count_words(first.user) + count_words(second.user)
    n_out = count_words("Courts, I think.") + count_words(label_answer(first.user))
    assert outcome.answer is not None
    assert (outcome.answer.n_tokens_in, outcome.answer.n_tokens_out) == (n_in, n_out)
    assert (found.ledger.n_tokens_in, found.ledger.n_tokens_out, found.totals.n_repairs) == (n_in, n_out, 1)


def test_a_cut_answer_is_asked_for_once_more_with_twice_the_room():
    found = ask_script(first_then(Truncate('{"semantic_label": "cou')), 1)
    assert found.labels == {0: label_of(item_of(0).question.user)}
    first, second = found.requests
    assert (first.body["max_tokens"], second.body["max_tokens"]) == (77, 154)
    assert second.user == first.user


def test_a_cut_answer_that_is_complete_is_taken():
    found = ask_script(lambda request: Truncate(label_answer(request.root) + " And"), 1)
    assert (len(found.labels), len(found.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second", "cause", "message"),
    [
        (Answer("no"), Answer("no again"), "bad_answer", 'there is no JSON object with "semantic_label" in it'),
        (Answer("no"), Truncate("no ag"), "truncated", "cut off at 77 tokens"),
        (Truncate("n"), Truncate("no ag"), "truncated", "cut off at 154 tokens"),
        (Truncate("n"), Answer('{"semantic_label": 7}'), "bad_answer", '"semantic_label" is a number, not a text'),
        (Answer("no"), Refuse("Stop it."), "refused", "Stop it."),
        (Answer("no"), Status(500, message="broken"), "server", "broken"),
        (Truncate("no"), Status(400, message="too much"), "request", "too much"),
    ],
)
def test_there_is_no_third_try(first: Step, second: Step, cause: str, message: str):
    def script(request: ChatRequest) -> Step:
        return second if is_repair(request) or request.n_same else first

    found = ask_script(script, 1)
    outcome = found.outcomes[0]
    assert (str(outcome.cause), len(found.requests), found.totals.n_repairs) == (cause, 2, 1)
    assert message in outcome.message
    n_answers = 2 - isinstance(second, Status)
    assert outcome.answer is not None
    assert outcome.answer.n_tokens_in == found.ledger.n_tokens_in
    assert outcome.answer.n_tokens_out == found.ledger.n_tokens_out > 0
    assert found.ledger.n_tokens_in >= n_answers * count_words(item_of(0).question.user)


def test_answers_without_counts_are_told_apart():
    found = ask_script(lambda request: Answer(label_answer(request.root), has_usage=False), 3)
    outcome = found.outcomes[0]
    assert outcome.answer is not None
    assert (outcome.answer.n_tokens_in, outcome.answer.n_tokens_out) == (None, None)
    assert found.ledger.n_uncounted == 3
    asked = item_of(0).question
    expected = estimate_tokens(asked.system) + estimate_tokens(asked.user) + OVERHEAD
    assert found.ledger.n_tokens_in == 3 * expected
    no_counts_first = first_then(Answer("no", has_usage=False))
    repaired = ask_script(no_counts_first, 1).outcomes[0].answer
    assert repaired is not None
    assert (repaired.n_tokens_in, repaired.n_tokens_out) == (None, None)


# Any mixture


KINDS = ("answer", "slow", "known", "broken", "refuse", "truncate", "limit_once", "fail_always", "repaired")
N_REQUESTS = {"known": 0, "broken": 2, "truncate": 2, "limit_once": 2, "fail_always": 2, "repaired": 2}
CAUSES = {
    "broken": FailureCause.BAD_ANSWER,
    "refuse": FailureCause.REFUSED,
    "truncate": FailureCause.TRUNCATED,
    "fail_always": FailureCause.RATE_LIMIT,
}
_marks = count()


@pytest.fixture(scope="module")
def chat() -> Iterator[ScriptedChat]:
    with running_chat_server(answer_label) as running:
        yield running


def act(request: ChatRequest) -> Step:
    """The kind stands in front of the question."""
    kind, text = request.root.split(" ")[0], label_answer(request.root)
    limit = Status(429, {"Retry-After": "0.01"})
    steps: dict[str, Step] = {
        "answer": Answer(text),
        "slow": Delay(0.02, Answer(text)),
        "broken": Answer("no label"),
        "refuse": Refuse(),
        "truncate": Truncate("{"),
        "limit_once": Answer(text) if request.n_same else limit,
        "fail_always": limit,
        "repaired": Answer(text) if is_repair(request) else Answer("no label"),
    }
    return steps[kind]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(KINDS), max_size=24), st.integers(1, 6))
def test_no_question_is_lost_or_asked_twice(chat: ScriptedChat, kinds: list[str], concurrency: int):
    chat.script = act
    mark = next(_marks)
    items = [item_of(at, f"{kind} {mark} ") for at, kind in enumerate(kinds)]
    known = {
        item.key: label_answer(item.question.user) for item, kind in zip(items, kinds, strict=True) if kind == "known"
    }
    found = ask_many(chat, items, concurrency=concurrency, max_retries=1, keeper=Keeper(known=known))
    if found.error is not None:
        assert kinds.count("fail_always") >= MIN_OUTAGE
        return
    asked = Counter(request.root for request in found.requests)
    for at, (item, kind) in enumerate(zip(items, kinds, strict=True)):
        outcome = found.outcomes[at]
        assert outcome.cause is CAUSES.get(kind)
        assert (outcome.read is None) == (kind in CAUSES)
        assert outcome.is_known == (kind == "known")
        assert asked[item.question.user] == N_REQUESTS.get(kind, 1)
    assert len(found.outcomes) == len(kinds)
    assert sum(asked.values()) == found.ledger.n_requests


# Keys and figures


def test_a_key_covers_everything_that_decides_an_answer():
    asked = question(schema={"type": "object"}, temperature=0.5)
    keys = {
        question_key(*who, one)
        for who in [("openai", ""), ("openai", "http://x"), ("compatible", "")]
        for one in [
            asked,
            replace(asked, model="other"),
            replace(asked, system="other"),
            replace(asked, user="other"),
            replace(asked, max_output_tokens=78),
            replace(asked, temperature=None),
            replace(asked, temperature=0.0),
            replace(asked, schema=None),
            replace(asked, schema={"type": "string"}),
        ]
    }
    assert len(keys) == 3 * 9
    assert all(len(key) == 64 for key in keys)


def test_the_same_question_has_the_same_key():
    schemas = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    assert len({question_key("openai", "", question(schema=schema)) for schema in schemas}) == 1
    assert question_key("openai", "", question(user="\ud800")) == question_key("openai", "", question(user="\ud800"))


def test_the_figures_of_a_job():
    totals = AskTotals(n_answered=3, n_known=1, n_retries=2, n_repairs=1, is_over_budget=True)
    totals.failures.update(["server", "refused", "server"])
    ledger = Ledger(Price(1.0, 2.0), None, None)
    ledger.resume(7, 100, 10)
    assert figures(totals, ledger) == {
        "n_requests": 7,
        "n_retries": 2,
        "n_repairs": 1,
        "n_from_cache": 1,
        "n_failed": 3,
        "n_by_cause": {"refused": 1, "server": 2},
        "n_tokens_in": 100,
        "n_tokens_out": 10,
        "n_uncounted": 0,
        "cost_micro_usd": 120,
        "is_over_budget": True,
    }
