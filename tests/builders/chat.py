"""Asks a scripted chat server one question, as a labeling job would."""

import asyncio
from typing import Any

from featlas.explain.chat import ChatAnswer, ChatFailure, ChatQuestion
from featlas.explain.client import open_client
from featlas.explain.provider import Provider, Secret
from featlas.testing.chat_scripts import ChatRequest, Script, Step
from featlas.testing.scripted_chat import ScriptedChat, running_chat_server

KEY = "sk-test-key-of-these-tests"


def question(**changes: Any) -> ChatQuestion:
    fields: dict[str, Any] = {
        "model": "some-model",
        "system": "You name features.",
        "user": "What is this feature?",
        "max_output_tokens": 77,
        "temperature": None,
        "schema": None,
    }
    return ChatQuestion(**{**fields, **changes})


def provider_of(name: Any, chat: ScriptedChat, key: str | None = KEY) -> Provider:
    return Provider(name, chat.url if name == "anthropic" else chat.openai_url, Secret(key) if key else None)


async def ask_once(provider: Provider, asked: ChatQuestion, timeout_s: float) -> ChatAnswer | ChatFailure:
    client = open_client(provider, timeout_s=timeout_s)
    try:
        return await client.ask(asked)
    except ChatFailure as failure:
        return failure
    finally:
        await client.close()


def ask(
    name: str, step: Step | Script, *, key: str | None = KEY, timeout_s: float = 30, **changes: Any
) -> tuple[ChatAnswer | ChatFailure, tuple[ChatRequest, ...]]:
    """What came of a question where the server takes one step or follows a script, and the requests that it got."""
    with running_chat_server(step if callable(step) else lambda _: step) as chat:
        outcome = asyncio.run(ask_once(provider_of(name, chat, key), question(**changes), timeout_s))
        return outcome, chat.requests
