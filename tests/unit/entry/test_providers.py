"""Who can be asked with these settings and this environment, and a first try over real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featlas.entry.providers import find_provider, list_providers, try_provider
from featlas.errors import ExternalError, InputError
from featlas.settings import Settings
from featlas.testing.chat_scripts import Answer, Delay, Refuse, Status, Step, Truncate, answer_label, label_answer
from featlas.testing.scripted_chat import ScriptedChat, running_chat_server

KEYS = {"OPENAI_API_KEY": "sk-open-123456", "ANTHROPIC_API_KEY": "sk-ant-123456"}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings and keys."""
    monkeypatch.setenv("FEATLAS_HOME", str(tmp_path))
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "FEATLAS_COMPATIBLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI", "ANTHROPIC", "COMPATIBLE"):
        monkeypatch.delenv(f"FEATLAS_{name}_BASE_URL", raising=False)


@pytest.fixture
def chat() -> Iterator[ScriptedChat]:
    with running_chat_server(answer_label) as running:
        yield running


def settings_for(chat: ScriptedChat) -> Settings:
    urls = {"openai_base_url": chat.openai_url, "anthropic_base_url": chat.url, "compatible_base_url": chat.openai_url}
    return Settings(**urls)


def test_keys_come_from_the_environment_and_addresses_from_the_settings(monkeypatch: pytest.MonkeyPatch):
    provider = find_provider(Settings(), "openai", KEYS)
    assert (provider.url, provider.key and provider.key.reveal()) == ("https://api.openai.com/v1", "sk-open-123456")
    assert find_provider(Settings(), "anthropic", KEYS).url == "https://api.anthropic.com"
    monkeypatch.setenv("FEATLAS_OPENAI_BASE_URL", "https://gateway.example/openai/v1")
    monkeypatch.setenv("FEATLAS_ANTHROPIC_BASE_URL", "https://gateway.example/anthropic")
    monkeypatch.setenv("FEATLAS_COMPATIBLE_BASE_URL", "http://127.0.0.1:11434/v1")
    assert find_provider(Settings(), "openai", KEYS).url == "https://gateway.example/openai/v1"
    assert find_provider(Settings(), "anthropic", KEYS).url == "https://gateway.example/anthropic"
    own = find_provider(Settings(), "compatible", KEYS)
    assert (own.url, own.key) == ("http://127.0.0.1:11434/v1", None)
    own = find_provider(Settings(), "compatible", {"FEATLAS_COMPATIBLE_API_KEY": "own-key"})
    assert own.key is not None
    assert own.key.reveal() == "own-key"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("compatible", "FEATLAS_COMPATIBLE_BASE_URL"),
        ("google", "unknown provider 'google'"),
    ],
)
def test_what_is_missing_is_named(name: str, message: str):
    with pytest.raises(InputError, match=message):
        find_provider(Settings(), name, {})


def test_every_provider_is_listed_with_what_is_missing():
    listed = {one.name: one for one in list_providers(Settings(), {"OPENAI_API_KEY": "sk-open-123456"})}
    assert list(listed) == ["openai", "anthropic", "compatible"]
    openai, anthropic, compatible = listed.values()
    assert (openai.is_ready, openai.has_key, openai.problem) == (True, True, None)
    assert (openai.base_url, openai.default_model) == ("https://api.openai.com/v1", "gpt-4o-mini")
    assert (anthropic.is_ready, anthropic.has_key, anthropic.key_variable) == (False, False, "ANTHROPIC_API_KEY")
    assert "ANTHROPIC_API_KEY" in (anthropic.problem or "")
    assert (compatible.is_ready, compatible.base_url, compatible.default_model) == (False, "", None)
    assert "FEATLAS_COMPATIBLE_BASE_URL" in (compatible.problem or "")


@pytest.mark.parametrize(
    "url", ["https://ada:secret-word@host/v1", "http://host/v1?key=secret-word", "secret-word", "http://h/#secret-word"]
)
def test_an_address_that_may_hold_a_secret_is_not_shown(url: str):
    settings = Settings(openai_base_url=url, compatible_base_url=url)
    listed = list_providers(settings, {**KEYS, "FEATLAS_COMPATIBLE_API_KEY": "sk-own-123456"})
    shown = json.dumps([vars(one) for one in listed])
    assert "secret-word" not in shown
    assert [one.is_ready for one in listed] == [False, True, False]
    assert "FEATLAS_OPENAI_BASE_URL" in shown


def test_no_key_is_in_the_list():
    bad = {"OPENAI_API_KEY": "sk open secret", "ANTHROPIC_API_KEY": "sk-ant-123456"}
    listed = list_providers(Settings(), bad)
    assert "sk" not in json.dumps([{**vars(one), "key_variable": ""} for one in listed])
    assert (listed[0].is_ready, listed[0].has_key) == (False, True)
    assert "OPENAI_API_KEY" in (listed[0].problem or "")


# A first try


@pytest.mark.parametrize(
    ("name", "key", "model"),
    [
        ("openai", KEYS["OPENAI_API_KEY"], "gpt-4o-mini"),
        ("anthropic", KEYS["ANTHROPIC_API_KEY"], "claude-haiku-4-5"),
        ("compatible", "", "llama3.2"),
    ],
)
def test_a_provider_is_asked_one_tiny_question(
    chat: ScriptedChat, monkeypatch: pytest.MonkeyPatch, name: str, key: str, model: str
):
    for variable, value in KEYS.items():
        monkeypatch.setenv(variable, value)
    found = try_provider(settings_for(chat), name, "llama3.2" if name == "compatible" else "")
    (request,) = chat.requests
    assert (request.model, request.key, request.schema is not None) == (model, key, True)
    assert (found.name, found.model, found.host) == (name, model, chat.url.removeprefix("http://"))
    assert found.keeps_schema is True
    assert found.n_tokens_in is not None
    assert found.n_tokens_in > 0
    assert 0 <= found.seconds < 30


@pytest.mark.parametrize(
    "step", [Answer("I think it is weekdays."), Refuse("No."), Truncate("{"), Answer('{"semantic_label": 7}')]
)
def test_an_answer_that_is_no_label_is_told(chat: ScriptedChat, step: Step):
    chat.script = lambda _: step
    assert try_provider(settings_for(chat), "compatible", "m").keeps_schema is False


def test_a_server_that_counts_nothing_is_told(chat: ScriptedChat):
    chat.script = lambda request: Answer(label_answer(request.user), has_usage=False)
    found = try_provider(settings_for(chat), "compatible", "m")
    assert (found.n_tokens_in, found.n_tokens_out) == (None, None)


@pytest.mark.parametrize(
    ("step", "kind", "words"),
    [
        (Status(401, message="bad key"), InputError, "bad key"),
        (Status(403, message="no access"), InputError, "no access"),
        (Status(404, message="no such model"), InputError, "no such model"),
        (Status(400, message="unknown parameter"), InputError, "unknown parameter"),
        (Status(500, message="broken"), ExternalError, "broken"),
        (Status(429, message="slow down"), ExternalError, "slow down"),
    ],
)
def test_a_failed_try_says_whose_fault_it_is(chat: ScriptedChat, step: Step, kind: type[Exception], words: str):
    chat.script = lambda _: step
    with pytest.raises(kind, match=words) as error:
        try_provider(settings_for(chat), "compatible", "m")
    assert chat.url.removeprefix("http://") in str(error.value)
    assert error.value.__cause__ is None
    assert len(chat.requests) == 1


def test_nobody_at_the_address_is_told():
    with running_chat_server(answer_label) as chat:
        settings = settings_for(chat)
    with pytest.raises(ExternalError, match="connection"):
        try_provider(settings, "compatible", "m")


@pytest.mark.parametrize(("name", "words"), [("compatible", "which model"), ("openai", "OPENAI_API_KEY")])
def test_what_is_missing_is_told_without_a_call(chat: ScriptedChat, name: str, words: str):
    with pytest.raises(InputError, match=words):
        try_provider(settings_for(chat), name)
    assert chat.requests == ()


def test_a_slow_provider_is_waited_for(chat: ScriptedChat):
    chat.script = lambda request: Delay(0.3, answer_label(request))
    found: Any = try_provider(settings_for(chat), "compatible", "m")
    assert found.seconds >= 0.3
