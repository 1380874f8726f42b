"""How a run of questions ends before all are answered, and that nothing which has arrived is lost by it."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import pytest
from tests.builders.asking import Keeper, ask_many, ask_script, item_of, label_of

from featlas.errors import ConflictError, ExternalError, InputError, JobPaused
from featlas.explain import asking
from featlas.explain.asking import MIN_OUTAGE, Item
from featlas.explain.pacing import Expected, Ledger, Pacer
from featlas.explain.prices import Price
from featlas.explain.token_count import OVERHEAD, estimate_tokens
from featlas.testing.chat_scripts import (
    Answer,
    ChatRequest,
    CloseSocket,
    Delay,
    Raw,
    Refuse,
    Status,
    Step,
    answer_label,
    delayed,
    label_answer,
)
from featlas.testing.scripted_chat import running_chat_server

PAUSED = JobPaused("paused")


# What ends the whole run


def test_a_key_that_is_not_accepted_stops_at_once():
    def script(request: ChatRequest) -> Step:
        return answer_label(request) if request.n < 10 else Delay(0.05, Status(401, message="bad key"))

    found = ask_script(script, 100, concurrency=4, max_retries=3)
    assert isinstance(found.error, InputError)
    assert "bad key" in str(found.error)
    assert "Check the key" in str(found.error)
    assert (len(found.labels), found.causes) == (10, {})
    assert 11 <= len(found.requests) <= 14


def test_an_account_without_money_stops_at_once():
    empty = Status(429, {"Retry-After": "1"}, "You exceeded your quota", error_code="insufficient_quota")
    found = ask_script(
        lambda request: empty if request.n >= 6 else answer_label(request), 100, concurrency=3, max_retries=3
    )
    assert isinstance(found.error, ExternalError)
    assert "credit" in str(found.error)
    assert (len(found.labels), found.causes) == (6, {})
    assert len(found.requests) <= 9


@pytest.mark.parametrize("step", [Status(500), Status(429, {"Retry-After": "0.01"}), CloseSocket(), Raw("<html>")])
def test_a_provider_that_is_out_of_reach_ends_the_run(step: Step):
    found = ask_script(lambda request: answer_label(request) if request.n < 5 else step, 200, concurrency=2)
    assert isinstance(found.error, ExternalError)
    assert f"{MIN_OUTAGE} questions in a row had no answer" in str(found.error)
    assert len(found.labels) == 5
    assert MIN_OUTAGE <= len(found.causes) <= MIN_OUTAGE + 1
    assert len(found.requests) == len(found.outcomes)


def test_a_provider_that_accepts_no_question_ends_the_run():
    """As for a model that does not exist."""
    found = ask_script(lambda _: Status(404, message="no such model"), 200, concurrency=2, max_retries=5)
    assert isinstance(found.error, InputError)
    assert "no such model" in str(found.error)
    assert len(found.requests) <= MIN_OUTAGE + 1


def test_where_more_run_at_once_more_may_fail_at_once():
    found = ask_script(lambda _: Status(500), 200, concurrency=12)
    assert isinstance(found.error, ExternalError)
    assert 24 <= len(found.causes) <= 24 + 11


def test_questions_that_fail_between_answers_do_not_end_the_run():
    def script(request: ChatRequest) -> Step:
        return answer_label(request) if request.n % 10 == 9 else Status(500)

    found = ask_script(script, 60, concurrency=1)
    assert found.error is None
    assert (len(found.labels), len(found.causes)) == (6, 54)


def test_refusals_and_unreadable_answers_do_not_end_the_run():
    def script(request: ChatRequest) -> Step:
        return Refuse() if "1" in request.root else Answer("no")

    found = ask_script(script, 40, concurrency=4)
    assert found.error is None
    assert len(found.causes) == 40


# Stopping


def stop_after(chat_requests: Callable[[], int], n: int) -> Callable[[], None]:
    def stop() -> None:
        if chat_requests() >= n:
            raise PAUSED

    return stop


def test_a_stop_lets_the_calls_in_flight_come_home():
    with running_chat_server(delayed(answer_label, 0.7)) as chat:
        began = time.monotonic()
        items = [item_of(at) for at in range(100)]
        found = ask_many(chat, items, concurrency=6, stop=stop_after(lambda: len(chat.requests), 6))
    assert found.error is PAUSED
    assert len(found.requests) == 6
    assert set(found.labels.values()) == {label_of(request.user) for request in found.requests}
    assert time.monotonic() - began < 3


def test_a_stop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asking, "GRACE_S", 0.3)

    def script(request: ChatRequest) -> Step:
        return Delay(0.0 if request.n < 3 else 20.0, answer_label(request))

    with running_chat_server(script) as chat:
        began = time.monotonic()
        items = [item_of(at) for at in range(100)]
        found = ask_many(chat, items, concurrency=3, stop=stop_after(lambda: len(chat.requests), 6))
    assert found.error is PAUSED
    assert len(found.labels) == 3
    assert time.monotonic() - began < 5
    assert found.ledger.begin(Expected(1, 1))  # nothing stays reserved


def test_what_has_arrived_is_kept_even_where_keeping_it_takes_longer_than_the_stop_waits(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(asking, "GRACE_S", 0.2)
    keeper = Keeper(on_save=lambda: time.sleep(1.5))
    with running_chat_server(answer_label) as chat:
        items = [item_of(at) for at in range(50)]
        found = ask_many(chat, items, concurrency=4, keeper=keeper, stop=stop_after(lambda: len(chat.requests), 4))
    assert found.error is PAUSED
    assert len(found.labels) == len(found.requests)


def test_a_stop_ends_every_wait():
    wait = Status(429, {"Retry-After": "60"})
    with running_chat_server(lambda request: wait if request.n < 3 else answer_label(request)) as chat:
        began = time.monotonic()
        items = [item_of(at) for at in range(20)]
        stop = stop_after(lambda: len(chat.requests), 3)
        found = ask_many(chat, items, concurrency=3, max_retries=9, stop=stop, pacer=Pacer(100_000, None))
        assert found.error is PAUSED
        assert found.outcomes == {}
        assert time.monotonic() - began < 3


def test_an_unreadable_answer_before_a_stop_is_counted():
    """It is paid for, and its second chance is not worth a new call."""

    def script(request: ChatRequest) -> Step:
        return Delay(0.5, Answer("no label")) if request.n < 4 else answer_label(request)

    with running_chat_server(script) as chat:
        items = [item_of(at) for at in range(20)]
        found = ask_many(chat, items, concurrency=4, stop=stop_after(lambda: len(chat.requests), 4))
    assert found.error is PAUSED
    assert len(found.requests) == 4
    assert list(found.causes.values()) == ["bad_answer"] * 4
    answers = [outcome.answer for outcome in found.outcomes.values()]
    assert sum(answer.n_tokens_out or 0 for answer in answers if answer) == found.ledger.n_tokens_out == 8
    assert "before it could be asked again" in found.keeper.saved[0].message


# Budgets


def test_a_budget_leaves_the_rest():
    asked = item_of(0).question
    n_in = estimate_tokens(asked.system) + estimate_tokens(asked.user) + OVERHEAD
    ledger = Ledger(None, None, 30 * n_in)
    found = ask_script(answer_label, 200, concurrency=4, ledger=ledger)
    assert found.error is None
    assert found.totals.is_over_budget
    assert 0 < len(found.labels) == len(found.requests) < 30
    spent = ledger.n_tokens_in + ledger.n_tokens_out
    assert 20 * n_in < spent <= 30 * n_in


def test_a_budget_in_money_is_kept():
    ledger = Ledger(Price(1.0, 1.0), 1500, None)
    found = ask_script(answer_label, 200, concurrency=4, ledger=ledger)
    assert found.totals.is_over_budget
    assert ledger.micro_usd is not None
    assert 1000 < ledger.micro_usd <= 1500
    assert found.causes == {}


def test_a_budget_that_is_reached_waits_for_the_calls_in_flight_however_long_they_take(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(asking, "GRACE_S", 0.1)
    ledger = Ledger(None, None, 600)
    found = ask_script(delayed(answer_label, 1.0), 50, concurrency=4, ledger=ledger)
    assert found.totals.is_over_budget
    assert len(found.labels) == len(found.requests) > 0


def test_a_budget_for_nothing_asks_nothing():
    found = ask_script(answer_label, 10, ledger=Ledger(None, None, 5))
    assert (found.requests, found.outcomes, found.totals.is_over_budget) == ((), {}, True)


# Keeping


def test_where_answers_cannot_be_kept_the_run_ends_with_that_error():
    n_saves = count(1)
    taken_over = ConflictError("the job was given to another worker")

    def on_save() -> None:
        if next(n_saves) == 4:
            raise taken_over

    with running_chat_server(delayed(answer_label, 0.02)) as chat:
        keeper = Keeper(on_save=on_save)
        found = ask_many(chat, [item_of(at) for at in range(200)], concurrency=3, keeper=keeper)
    assert found.error is taken_over
    assert len(found.requests) <= len(found.outcomes) + 3 + 3


def test_an_error_while_looking_for_an_answer_loses_no_call():
    broken = ExternalError("the database is gone")

    def on_find(key: str) -> None:
        if key == "key 9":
            raise broken

    with running_chat_server(delayed(answer_label, 0.3)) as chat:
        found = ask_many(chat, [item_of(at) for at in range(40)], concurrency=5, keeper=Keeper(on_find=on_find))
    assert found.error is broken
    assert len(found.labels) == len(found.requests) > 0


def test_an_error_while_fetching_questions_loses_no_call():
    broken = ConflictError("the run is gone")

    def fetch() -> Iterator[Sequence[Item]]:
        yield [item_of(at) for at in range(6)]
        while len(chat.requests) < 4:
            time.sleep(0.01)
        raise broken

    with running_chat_server(delayed(answer_label, 0.5)) as chat:
        found = ask_many(chat, fetch(), concurrency=4)
    assert found.error is broken
    assert len(found.labels) == len(found.requests) == 4


def test_what_is_known_is_not_asked():
    known = {f"key {at}": label_answer(f"known {at}") for at in range(0, 30, 3)}
    found = ask_script(answer_label, 30, keeper=Keeper(known=known))
    assert found.totals.n_known == 10
    assert (found.totals.n_answered, len(found.requests), found.ledger.n_requests) == (30, 20, 20)
    for at in range(30):
        outcome = found.outcomes[at]
        assert outcome.is_known == (at % 3 == 0)
        assert (outcome.answer is None) == outcome.is_known
        expected = f"known {at}" if outcome.is_known else item_of(at).question.user
        assert found.labels[at] == label_of(expected)


def test_what_is_known_needs_neither_budget_nor_pace():
    known = {f"key {at}": label_answer(f"known {at}") for at in range(20)}
    keeper = Keeper(known=known)
    found = ask_script(answer_label, 20, keeper=keeper, ledger=Ledger(None, None, 1), pacer=Pacer(1, None))
    assert (len(found.labels), found.requests, found.totals.is_over_budget) == (20, (), False)


def test_a_kept_answer_that_cannot_be_read_any_more_is_asked_again():
    found = ask_script(answer_label, 1, keeper=Keeper(known={"key 0": "no JSON"}))
    assert (len(found.labels), len(found.requests), found.totals.n_known) == (1, 1, 0)
