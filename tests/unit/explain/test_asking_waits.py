"""When a question is asked: again after a failure, after a break that the provider asks for, and at a rate."""

import random

import pytest
from tests.builders.asking import ask_script, first_then

from featlas.errors import ExternalError
from featlas.explain.pacing import Pacer
from featlas.testing.chat_scripts import (
    Answer,
    ChatRequest,
    CloseSocket,
    Delay,
    Raw,
    Status,
    Step,
    answer_label,
    label_answer,
)
from featlas.testing.scripted_chat import count_words

# What failed once is asked again


@pytest.mark.parametrize(
    "step",
    [
        Status(500),
        Status(503),
        Status(529),
        Status(408),
        Status(429, message="slow down"),
        CloseSocket(),
        CloseSocket(in_body=True),
        Raw("<html>busy</html>"),
        Raw("{}"),
        Delay(0.6, Answer("too late")),
    ],
)
def test_what_may_succeed_later_is_tried_again_after_a_while(step: Step):
    found = ask_script(first_then(step), 1, max_retries=1, timeout_s=0.3)
    assert (len(found.labels), found.totals.n_retries, found.ledger.n_requests) == (1, 1, 2)
    first, second = (request.arrived_s for request in found.requests)
    assert 0.45 < second - first < 2.5
    assert found.requests[0].body == found.requests[1].body


def test_each_wait_is_about_twice_as_long_as_the_one_before():
    found = ask_script(lambda request: Status(500) if request.n < 3 else answer_label(request), 1, max_retries=3)
    at = [request.arrived_s for request in found.requests]
    assert 0.45 < at[1] - at[0] < 1.5
    assert 0.95 < at[2] - at[1] < 2.5
    assert 1.95 < at[3] - at[2] < 4.5


def test_a_break_that_the_provider_asks_for_holds_everybody():
    wait = Status(429, {"Retry-After": "0.8"}, "slow down")
    found = ask_script(lambda request: wait if request.n == 0 else answer_label(request), 12, concurrency=1)
    assert found.causes == {0: "rate_limit"}
    found = ask_script(
        lambda request: wait if request.n == 0 else Delay(0.05, answer_label(request)), 12, concurrency=3, max_retries=1
    )
    assert len(found.labels) == 12
    waits = [request.arrived_s - found.requests[0].arrived_s for request in found.requests[1:]]
    after = [wait for wait in waits if wait >= 0.8]
    assert len(waits) - len(after) <= 2, "more went out than was in flight with the first"
    assert min(after) < 1.6


def test_a_break_of_no_time_is_a_wait_all_the_same():
    found = ask_script(first_then(Status(429, {"Retry-After": "0"})), 1, max_retries=1)
    first, second = (request.arrived_s for request in found.requests)
    assert second - first > 0.45


def test_a_break_holds_those_who_wait_for_their_turn_and_then_the_rate_is_held():
    pacer = Pacer(300, None)
    wait = Status(429, {"Retry-After": "0.9"}, "slow down")

    def script(request: ChatRequest) -> Step:
        return wait if request.n == 1 else answer_label(request)

    found = ask_script(script, 14, concurrency=10, max_retries=1, pacer=pacer)
    assert len(found.labels) == 14
    since = [request.arrived_s - found.requests[1].arrived_s for request in found.requests]
    after = since[2:]  # those with the turns 0.2, 0.4 … s later among them
    assert min(after) >= 0.9
    assert (len(after) - 2) / (after[-1] - after[0]) <= 5.25


def test_a_very_long_break_ends_the_run_with_words():
    wait = Status(429, {"Retry-After": "86400"}, "daily limit")
    found = ask_script(
        lambda request: wait if request.n == 4 else answer_label(request), 40, concurrency=1, max_retries=5
    )
    assert isinstance(found.error, ExternalError)
    assert "daily limit" in str(found.error)
    assert "a break of 86,400 s" in str(found.error)
    assert (len(found.labels), len(found.requests), found.causes) == (4, 5, {})


# Pace


def test_requests_a_minute_are_held_at_the_server():
    found = ask_script(answer_label, 31, concurrency=8, pacer=Pacer(600, None))
    at = sorted(request.arrived_s for request in found.requests)
    assert 600 == pytest.approx(60 * (len(at) - 1) / (at[-1] - at[0]), rel=0.05)
    for first in at:
        assert sum(first <= one < first + 1 for one in at) <= 10 + 2


def test_tokens_a_minute_are_held_at_the_server():
    # Each call is expected to take what the first answers took; their number settles at once.
    tokens = []

    def note(request: ChatRequest) -> Step:
        text = label_answer(request.root)
        tokens.append(count_words(request.system) + count_words(request.user) + count_words(text))
        return Answer(text)

    found = ask_script(note, 25, concurrency=8, pacer=Pacer(None, 60_000))
    at = sorted(request.arrived_s for request in found.requests)
    per_minute = 60 * sum(tokens[1:]) / (at[-1] - at[0])
    assert 20_000 < per_minute < 1.05 * 60_000


def test_waits_are_not_in_step():
    """Many callers that were turned away at the same time do not come back at the same time."""
    random.seed(7)
    found = ask_script(first_then(Status(503)), 12, concurrency=12, max_retries=1)
    again = sorted(request.arrived_s for request in found.requests if request.n_same)
    assert len(again) == 12
    assert again[-1] - again[0] > 0.15
