"""The client against a real HTTP server that does what each test scripts; what must not leak has its own file."""

import asyncio
import datetime as dt
import time
from email.utils import format_datetime
from typing import Any

import pytest
from tests.builders.chat import KEY, ask, provider_of, question

from featlas.domain import FailureCause
from featlas.errors import InputError
from featlas.explain.chat import ChatAnswer, ChatFailure
from featlas.explain.client import open_client
from featlas.explain.provider import Provider, Secret
from featlas.testing.chat_scripts import Answer, CloseSocket, Delay, Drip, Raw, Refuse, Status, Step, Truncate
from featlas.testing.scripted_chat import count_words, running_chat_server

PROVIDERS = ("openai", "anthropic", "compatible")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.fixture(params=PROVIDERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["openai", "anthropic"])
def protocol(request: pytest.FixtureRequest) -> str:
    """A provider of each protocol, where there are many cases."""
    return request.param


def _answer(name: str, step: Step, **options: Any) -> ChatAnswer:
    outcome, _ = ask(name, step, **options)
    assert isinstance(outcome, ChatAnswer), outcome
    return outcome


def _failure(name: str, step: Step, **options: Any) -> ChatFailure:
    outcome, requests = ask(name, step, **options)
    assert isinstance(outcome, ChatFailure), outcome
    assert len(requests) == 1  # whoever asked repeats, not the SDK
    return outcome


def test_an_answer_comes_with_the_tokens_that_the_provider_counted(name: str):
    answer = _answer(name, Answer("courts of law"))
    assert (answer.text, answer.is_cut, answer.refusal, answer.model) == ("courts of law", False, None, "some-model")
    n_in = count_words(question().system) + count_words(question().user)
    assert (answer.n_tokens_in, answer.n_tokens_out) == (n_in, 3)
    assert 0 < answer.wall_s < 5


def test_without_usage_there_are_no_counts(name: str):
    answer = _answer(name, Answer("courts", has_usage=False))
    assert (answer.n_tokens_in, answer.n_tokens_out) == (None, None)


def test_one_question_is_one_request_with_all_of_it(name: str):
    _, (request,) = ask(
        name, Answer("x"), schema=SCHEMA, temperature=0.25, system="Be short: é…", user='{"a": "λ\\u0000"}'
    )
    assert (request.system, request.user, request.schema) == ("Be short: é…", '{"a": "λ\\u0000"}', SCHEMA)
    assert (request.model, request.body["temperature"], request.key) == ("some-model", 0.25, KEY)
    limits = {limit: request.body.get(limit) for limit in ("max_tokens", "max_completion_tokens")}
    expected = {"max_completion_tokens": 77} if name == "openai" else {"max_tokens": 77}
    assert {limit: n for limit, n in limits.items() if n} == expected


def test_a_schema_is_asked_for_strictly():
    _, (request,) = ask("openai", Answer("x"), schema=SCHEMA)
    named = {"name": "label", "strict": True, "schema": SCHEMA}
    assert request.body["response_format"] == {"type": "json_schema", "json_schema": named}
    _, (request,) = ask("anthropic", Answer("x"), schema=SCHEMA)
    assert request.body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


def test_what_a_question_leaves_open_is_not_sent(name: str):
    _, (request,) = ask(name, Answer("x"), system="")
    assert set(request.body) - {"model", "messages", "max_tokens", "max_completion_tokens"} == set()
    assert [message["role"] for message in request.body["messages"]] == ["user"]


def test_a_compatible_server_without_a_key_is_sent_none():
    _, (request,) = ask("compatible", Answer("x"), key=None)
    assert "authorization" not in request.headers
    assert "x-api-key" not in request.headers


def test_a_cut_answer_says_so(name: str):
    answer = _answer(name, Truncate('{"semantic'))
    assert (answer.text, answer.is_cut, answer.refusal, answer.n_tokens_out) == ('{"semantic', True, None, 3)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai", '{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}'),
        ("anthropic", '{"content": [], "stop_reason": "max_tokens"}'),
        ("anthropic", '{"content": [{"type": "thinking", "text": 1}], "stop_reason": "model_context_window_exceeded"}'),
    ],
)
def test_an_answer_cut_before_its_first_word_is_empty(name: str, body: str):
    answer = _answer(name, Raw(body))
    assert (answer.text, answer.is_cut) == ("", True)


def test_a_refusal_has_its_words(name: str):
    assert _answer(name, Refuse("I will not.")).refusal == "I will not."


def test_a_refusal_without_words_is_one_all_the_same(name: str):
    words = "the model refused, without a reason" if name == "anthropic" else "stopped by the provider's content filter"
    answer = _answer(name, Refuse(is_filtered=True))
    assert (answer.text, answer.refusal) == ("", words)


def test_a_refusal_is_explained_by_the_provider():
    body = '{"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "not this"}}'
    assert _answer("anthropic", Raw(body)).refusal == "not this"


@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        ("openai", '{"choices": [{"message": {"content": "a"}}]}', "a"),
        ("openai", '{"choices": [{"message": {"content": ""}}]}', ""),
        ("openai", '{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "x"}, 3]}}]}', "a"),
        ("openai", '{"choices": [{"message": {"content": "a\\u0000b\\ud800c\\ud83d\\ude00"}}]}', "a\ufffdb\ufffdc😀"),
        ("anthropic", '{"content": [{"type": "thinking", "thinking": "b"}, {"type": "text", "text": "a"}]}', "a"),
    ],
)
def test_text_is_read_from_what_servers_make_of_the_protocol(name: str, body: str, text: str):
    answer = _answer(name, Raw(body, content_type="text/plain"))
    assert (answer.text, answer.n_tokens_in, answer.n_tokens_out, answer.model) == (text, None, None, "some-model")


def test_a_prompt_that_the_provider_kept_is_counted():
    usage = '{"input_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 7}'
    answer = _answer("anthropic", Raw(f'{{"content": [{{"type": "text", "text": "a"}}], "usage": {usage}}}'))
    assert (answer.n_tokens_in, answer.n_tokens_out) == (125, 7)


@pytest.mark.parametrize("count", ["-1", "true", '"7"', "1.5", "1e3", "9999999999999999999999"])
def test_a_count_that_is_none_is_none(count: str):
    choices = '"choices": [{"message": {"content": "a"}}]'
    answer = _answer("openai", Raw(f'{{{choices}, "usage": {{"prompt_tokens": {count}, "completion_tokens": 3}}}}'))
    assert (answer.n_tokens_in, answer.n_tokens_out) == (None, 3)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Bad gateway",
        '{"choices": [{"message": {"content": "a"',
        "null",
        "[]",
        "{}",
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"choices": ["a"]}',
        '{"choices": "a"}',
        '{"choices": [{"message": {"content": null}}]}',
        '{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}',
        '{"content": []}',
        '{"content": "a"}',
        '{"content": [7]}',
        '{"content": [{"type": "text", "text": null}], "stop_reason": "end_turn"}',
        "[" * 100_000,
    ],
)
def test_a_body_without_a_completion_is_a_bad_answer(protocol: str, body: str):
    failure = _failure(protocol, Raw(body))
    assert (failure.cause, failure.is_retryable) == (FailureCause.BAD_ANSWER, True)


def test_an_error_that_calls_itself_a_success_is_quoted(name: str):
    assert "out of memory" in str(_failure(name, Raw('{"error": {"message": "out of memory"}}')))


@pytest.mark.parametrize(
    ("code", "cause", "is_retryable"),
    [
        (301, FailureCause.REQUEST, False),
        (400, FailureCause.REQUEST, False),
        (401, FailureCause.AUTH, False),
        (402, FailureCause.RATE_LIMIT, False),
        (403, FailureCause.AUTH, False),
        (404, FailureCause.REQUEST, False),
        (408, FailureCause.SERVER, True),
        (409, FailureCause.SERVER, True),
        (413, FailureCause.REQUEST, False),
        (422, FailureCause.REQUEST, False),
        (429, FailureCause.RATE_LIMIT, True),
        (500, FailureCause.SERVER, True),
        (502, FailureCause.SERVER, True),
        (503, FailureCause.SERVER, True),
        (504, FailureCause.SERVER, True),
        (529, FailureCause.SERVER, True),
    ],
)
def test_every_status_has_its_cause(protocol: str, code: int, cause: FailureCause, is_retryable: bool):
    failure = _failure(protocol, Status(code, {"Retry-After": "7", "x-should-retry": "true"}))
    assert (failure.cause, failure.is_retryable) == (cause, is_retryable)
    assert failure.retry_after_s == (7 if is_retryable else None)
    assert str(failure).startswith(f"{protocol} (127.0.0.1:")
    assert f"answered {code}" in str(failure)


def test_an_account_without_money_does_not_recover(name: str):
    failure = _failure(name, Status(429, {"Retry-After": "1"}, "You exceeded your quota", "insufficient_quota"))
    assert (failure.cause, failure.is_retryable, failure.retry_after_s) == (FailureCause.RATE_LIMIT, False, None)
    assert "You exceeded your quota" in str(failure)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"retry-after-ms": "1500", "Retry-After": "60"}, 1.5),
        ({"retry-after-ms": "x", "Retry-After": "60"}, 60),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_how_long_to_wait_is_read(headers: dict[str, str], expected: float | None):
    assert _failure("openai", Status(429, headers)).retry_after_s == expected


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_to_wait_for_is_that_many_seconds_away(zone: str):
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90)
    waits = _failure(
        "anthropic", Status(503, {"Retry-After": format_datetime(until).replace("+0000", zone)})
    ).retry_after_s
    assert waits is not None
    assert 60 < waits <= 91


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": {"message": "no such model"}}', "no such model"),
        ('{"error": "no such model"}', "no such model"),
        ('{"message": "no such model"}', "no such model"),
        ('{"detail": "no such model"}', "no such model"),
        ('{"reason": 7}', '{"reason": 7}'),
        ("<html>\n  <h1>Not\x1b[31m here</h1>\r\n</html>", "<html> <h1>Not [31m here</h1> </html>"),
        ("", "nothing more"),
    ],
)
def test_the_provider_is_quoted_in_one_line(protocol: str, body: str, words: str):
    assert str(_failure(protocol, Status(404, body=body))).split(": ", 2)[1:] == ["answered 404", words]


def test_a_long_quote_is_cut(name: str):
    message = str(_failure(name, Status(400, message="very " * 1000)))
    assert len(message) < 300
    assert message.endswith("…")


@pytest.mark.parametrize("in_body", [False, True])
def test_a_closed_socket_is_a_failed_connection(name: str, in_body: bool):
    failure = _failure(name, CloseSocket(in_body))
    assert (failure.cause, failure.is_retryable) == (FailureCause.CONNECTION, True)
    assert "the connection failed, RemoteProtocolError" in str(failure)


def test_where_nobody_listens_the_connection_fails(name: str):
    with running_chat_server(lambda _: Answer("x")) as chat:
        provider = provider_of(name, chat)
    client = open_client(provider, timeout_s=5)
    with pytest.raises(ChatFailure, match="the connection failed, ConnectError") as caught:
        asyncio.run(client.ask(question()))
    assert (caught.value.cause, caught.value.is_retryable) == (FailureCause.CONNECTION, True)


@pytest.mark.parametrize("step", [Delay(20, Answer("x")), Drip(20, "x" * 200)], ids=["silent", "dripping"])
def test_the_time_limit_is_for_the_whole_call(name: str, step: Step):
    started = time.monotonic()
    failure = _failure(name, step, timeout_s=0.7)
    assert (failure.cause, failure.is_retryable) == (FailureCause.TIMEOUT, True)
    assert "no answer within 0.7 s" in str(failure)
    assert 0.6 < time.monotonic() - started < 5


def test_a_slow_answer_within_the_limit_is_one(name: str):
    answer = _answer(name, Delay(0.2, Drip(0.3, "slow")), timeout_s=20)
    assert answer.text == "slow"
    assert answer.wall_s >= 0.5


def test_a_question_that_is_no_text_fails_alone(name: str):
    outcome, requests = ask(name, Answer("x"), user="half a pair \ud800")
    assert isinstance(outcome, ChatFailure)
    assert (outcome.cause, outcome.is_retryable, requests) == (FailureCause.REQUEST, False, ())


def test_a_cancelled_question_is_cancelled_and_not_a_timeout(name: str):
    with running_chat_server(lambda _: Delay(20, Answer("x"))) as chat:

        async def cancel() -> None:
            client = open_client(provider_of(name, chat), timeout_s=20)
            asking = asyncio.create_task(client.ask(question()))
            await asyncio.sleep(0.2)
            asking.cancel()
            try:
                await asking
            finally:
                await client.close()

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancel())


def test_many_questions_share_a_client(name: str):
    with running_chat_server(lambda request: Delay(0.02, Answer(request.user))) as chat:

        async def ask_all() -> list[ChatAnswer]:
            client = open_client(provider_of(name, chat), timeout_s=30)
            answers = await asyncio.gather(*(client.ask(question(user=f"number {n}")) for n in range(150)))
            await client.close()
            return answers

        answers = asyncio.run(ask_all())
        assert [answer.text for answer in answers] == [f"number {n}" for n in range(150)]
        assert len(chat.requests) == 150
        assert chat.peak_in_flight > 10


def test_a_proxy_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://user:password@host")
    with pytest.raises(InputError, match="names a proxy that cannot be used") as caught:
        open_client(Provider("openai", "", Secret("a-key")), timeout_s=5)
    assert "password" not in str(caught.value)
