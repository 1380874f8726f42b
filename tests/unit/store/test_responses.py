"""Answers that were paid for: kept once under their key, and found again word for word."""

from typing import Any

import pytest
from sqlalchemy import update
from tests.builders.labelings import make_response

from featlas.errors import NotFoundError
from featlas.store.responses import (
    Response,
    fetch_response,
    find_response,
    list_newest_responses,
    save_responses,
    save_responses_alone,
)
from featlas.store.session import Store
from featlas.store.tables import LlmResponseRow, utc_now


def find(store: Store, key: str) -> Response | None:
    with store.read() as session:
        return find_response(session, key)


def newest(store: Store, provider: str = "openai", model: str = "m", **options: Any) -> list[str]:
    with store.read() as session:
        return [one.key for one in list_newest_responses(session, provider, model, **options)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_tokens_in": None, "n_tokens_out": None, "cost_micro_usd": None, "wall_s": None},
        {"n_tokens_in": 0, "n_tokens_out": 0, "cost_micro_usd": 0, "wall_s": 0.0},
        {"request": {"system": "", "user": "é 😀 \n\t {x}", "temperature": None, "schema": {"a": [1, 2.5]}}},
        {"model": "x" * 1000, "provider": "compatible"},
    ],
)
def test_an_answer_comes_back_as_it_was(store: Store, changes: dict[str, Any]):
    response = make_response(**changes)
    save_responses_alone(store, [response])
    assert find(store, "k") == response
    with store.read() as session:
        assert fetch_response(session, "k") == response


def test_of_two_answers_under_one_key_the_first_stays(store: Store):
    first = make_response("a")
    save_responses_alone(store, [first])
    again = make_response("a", response={"text": "another", "model": "m"})
    save_responses_alone(store, [again, make_response("b"), make_response("b", n_tokens_in=7)])
    assert find(store, "a") == first
    assert find(store, "b") == make_response("b")


def test_what_is_not_there_is_not_found(store: Store):
    assert find(store, "none") is None
    with store.read() as session, pytest.raises(NotFoundError, match="no kept answer none"):
        fetch_response(session, "none")


def test_nothing_is_saved_of_nothing(store: Store):
    save_responses_alone(store, [])
    assert newest(store) == []


def test_many_answers_are_saved_at_once(store: Store):
    save_responses_alone(store, [make_response(f"{at}") for at in range(2000)])
    assert find(store, "1999") == make_response("1999")


def test_an_answer_goes_with_its_transaction(store: Store):
    def fail_while_saving() -> None:
        with store.write() as session:
            save_responses(session, [make_response("a")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_saving()
    assert find(store, "a") is None


def test_texts_that_no_database_takes_are_kept_as_escapes(store: Store):
    save_responses_alone(store, [make_response(response={"text": "a\0b\ud800", "model": "m"})])
    found = find(store, "k")
    assert found is not None
    assert found.response["text"] == "a\\x00b\\ud800"


def test_the_newest_answers_of_a_model_come_first(store: Store):
    keys = ["a", "b", "c"]
    others = [make_response("d", model="other"), make_response("e", provider="anthropic")]
    save_responses_alone(store, [*map(make_response, keys), *others])
    with store.write() as session:
        for n, key in enumerate(["b", "a", "c", "d", "e"]):
            at = utc_now().replace(year=2020 + n)
            session.execute(update(LlmResponseRow).where(LlmResponseRow.cache_key == key).values(created_at=at))
    assert newest(store) == ["c", "a", "b"]
    assert newest(store, limit=2) == ["c", "a"]
    assert newest(store, model="other") == ["d"]
    assert newest(store, provider="anthropic") == ["e"]
    assert newest(store, provider="compatible") == []
