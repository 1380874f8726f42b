"""A key goes to its provider and nowhere else: not into messages, tracebacks or logs, and to no other host."""

import asyncio
import logging
import os
import pickle
import subprocess
import sys
import traceback

import pytest
from tests.builders.chat import ask, ask_once, provider_of, question

from featlas.domain import FailureCause
from featlas.explain.chat import ChatAnswer, ChatFailure
from featlas.explain.client import open_client
from featlas.testing.chat_scripts import (
    Answer,
    ChatRequest,
    CloseSocket,
    Delay,
    Raw,
    Refuse,
    Script,
    Status,
)
from featlas.testing.scripted_chat import running_chat_server

CANARY = "sk-canary-5Jq0vXz8Lr3TnWy6"
PIECES = [CANARY[at : at + 8] for at in range(len(CANARY) - 7)]
PROVIDERS = ("openai", "anthropic", "compatible")


def _told(request: ChatRequest) -> str:
    assert request.key == CANARY
    return f"Incorrect API key provided: {request.key}, of {dict(request.headers)}"


ECHOES: dict[str, Script] = {
    "error": lambda request: Status(401, {"X-Echo": request.key}, _told(request)),
    "page": lambda request: Status(500, body=f"<pre>{_told(request)}</pre>"),
    "half": lambda request: Status(400, message=f"{request.key[:12]} … {request.key[12:]}"),
    "limit": lambda request: Status(429, {"Retry-After": request.key}, request.key * 50),
    "redirect": lambda request: Status(302, {"Location": f"/{request.key}"}, _told(request)),
    "broken": lambda request: Raw(_told(request)),
    "odd": lambda request: Raw(f'{{"error": {{"message": "{request.key}"}}}}'),
    "closed": lambda request: CloseSocket(in_body=_told(request) == ""),
    "late": lambda request: Delay(20, Answer(_told(request))),
}


def _shown(failure: ChatFailure) -> str:
    lines = traceback.format_exception(failure)
    return "\n".join([str(failure), repr(failure), repr(failure.args), repr(vars(failure)), *lines])


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_failure_and_no_log_holds_a_piece_of_the_key(name: str, echo: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    failure, requests = ask(name, ECHOES[echo], key=CANARY, timeout_s=1)
    assert isinstance(failure, ChatFailure)
    assert len(requests) == 1
    assert [piece for piece in PIECES if piece in _shown(failure) + caplog.text] == []


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_failure_holds_no_error_of_the_sdk_which_would_hold_the_request(name: str):
    failure, _ = ask(name, ECHOES["error"], key=CANARY)
    assert isinstance(failure, ChatFailure)
    assert (failure.__cause__, failure.__context__) == (None, None)
    assert CANARY.encode() not in pickle.dumps((failure.args, vars(failure)))


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_answer_that_echoes_the_key_loses_it(name: str):
    answer, _ = ask(name, lambda request: Answer(f"court {request.key} court"), key=CANARY)
    assert isinstance(answer, ChatAnswer)
    assert answer.text == "court … court"
    refused, _ = ask(name, lambda request: Refuse(f"not with {request.key}"), key=CANARY)
    assert isinstance(refused, ChatAnswer)
    assert [piece for piece in PIECES if piece in repr(refused)] == []


def test_a_short_key_may_be_a_word_of_an_answer():
    answer, _ = ask("compatible", Answer("running ollama servers"), key="ollama")
    assert isinstance(answer, ChatAnswer)
    assert answer.text == "running ollama servers"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(name: str, code: int):
    with running_chat_server(lambda _: Answer("not to be asked")) as other:
        path = "/v1/messages" if name == "anthropic" else "/v1/chat/completions"
        failure, requests = ask(name, Status(code, {"Location": other.url + path}))
        assert isinstance(failure, ChatFailure)
        assert (failure.cause, failure.is_retryable) == (FailureCause.REQUEST, False)
        assert f"answered {code}, a redirect, which is not followed" in str(failure)
        assert (len(requests), other.requests) == (1, ())


@pytest.mark.parametrize("name", PROVIDERS)
def test_nothing_is_taken_from_the_variables_of_the_sdks(name: str, monkeypatch: pytest.MonkeyPatch):
    def headers_sent() -> dict[str, str]:
        outcome, (request,) = ask(name, Answer("x"), key=None if name == "compatible" else CANARY)
        assert isinstance(outcome, ChatAnswer), outcome
        return {header: value for header, value in request.headers.items() if header != "host"}

    before = headers_sent()
    planted = "X-Planted: 1\nAuthorization: Bearer planted\nX-Api-Key: planted\nHost: planted\nAccept: planted"
    with running_chat_server(lambda _: Answer("not to be asked")) as other:
        for vendor in ("OPENAI", "ANTHROPIC"):
            monkeypatch.setenv(f"{vendor}_API_KEY", "planted")
            monkeypatch.setenv(f"{vendor}_BASE_URL", other.url)
            monkeypatch.setenv(f"{vendor}_CUSTOM_HEADERS", f"{planted}\n{vendor.lower()}-version: planted")
            monkeypatch.setenv(f"{vendor}_LOG", "debug")
        for variable in ("ORG_ID", "PROJECT_ID", "ADMIN_KEY", "WEBHOOK_SECRET", "API_TYPE", "API_VERSION"):
            monkeypatch.setenv(f"OPENAI_{variable}", "planted")
        for variable in (
            "AUTH_TOKEN",
            "PROFILE",
            "CONFIG_DIR",
            "IDENTITY_TOKEN",
            "FEDERATION_RULE_ID",
            "ORGANIZATION_ID",
        ):
            monkeypatch.setenv(f"ANTHROPIC_{variable}", "planted")
        for variable in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, other.url)
        assert headers_sent() == before
        assert other.requests == ()
    assert not any("planted" in value for value in before.values())


@pytest.mark.parametrize("name", PROVIDERS)
def test_loggers_that_somebody_turns_up_again_do_not_write_the_key(name: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with running_chat_server(lambda request: Answer("x") if request.n else Status(401, message="no")) as chat:

        async def ask_twice() -> None:
            client = open_client(provider_of(name, chat, CANARY), timeout_s=20)
            for logger in ("openai", "anthropic", "httpx2", "httpcore2"):
                caplog.set_level(logging.DEBUG, logger)
            with pytest.raises(ChatFailure):
                await client.ask(question())
            await client.ask(question())
            await client.close()

        asyncio.run(ask_twice())
    assert "HTTP Request: POST" in caplog.text  # they do write
    assert [piece for piece in PIECES if piece in caplog.text] == []


PROGRAM = """
import asyncio, logging, sys
logging.basicConfig(level=logging.DEBUG)
from tests.builders.chat import ask_once, question
from featlas.explain.provider import Provider, Secret
for name, url in (("openai", sys.argv[1] + "/v1"), ("anthropic", sys.argv[1])):
    print(asyncio.run(ask_once(Provider(name, url, Secret(sys.stdin.readline().strip())), question(), 30)))
"""


def test_the_sdks_own_switches_for_logs_write_neither_key_nor_prompt():
    with running_chat_server(ECHOES["error"]) as chat:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, chat.url],
            input=f"{CANARY}\n{CANARY}\n",
            env={**os.environ, "OPENAI_LOG": "debug", "ANTHROPIC_LOG": "debug"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(chat.requests) == 2
    assert done.stdout.count("answered 401") == 2
    assert [piece for piece in PIECES if piece in done.stdout + done.stderr] == []
    assert question().user not in done.stdout + done.stderr


def test_a_provider_gets_its_own_key_only():
    with running_chat_server(lambda _: Answer("x")) as chat:
        for name in PROVIDERS:
            asyncio.run(ask_once(provider_of(name, chat, f"key-of-{name}"), question(), 30))
        assert [request.key for request in chat.requests] == [f"key-of-{name}" for name in PROVIDERS]
