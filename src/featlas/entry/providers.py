"""The language models that can be asked: where by the settings, with which key by the environment, and a first try."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from featlas.domain import FailureCause
from featlas.errors import ExternalError, InputError
from featlas.explain.answers import ANSWER_SCHEMA, BadAnswer, read_answer
from featlas.explain.chat import ChatAnswer, ChatFailure, ChatQuestion
from featlas.explain.client import open_client
from featlas.explain.provider import (
    KEY_VARIABLES,
    OFFICIAL_URLS,
    Provider,
    ProviderName,
    is_address,
    read_provider,
)
from featlas.settings import Settings
from featlas.specs import DEFAULT_MODELS

_TRY_S = 60.0


@dataclass(frozen=True)
class ProviderStatus:
    """One provider as these surroundings have it; of a key only whether there is one.

    `base_url` is empty where a setting is missing, or is no address.
    """

    name: ProviderName
    base_url: str
    key_variable: str
    has_key: bool
    is_ready: bool
    default_model: str | None
    problem: str | None


@dataclass(frozen=True)
class ProviderTrial:
    """What came of a tiny question; `keeps_schema` says whether a label could be read from the answer."""

    name: str
    host: str
    model: str
    keeps_schema: bool
    n_tokens_in: int | None
    n_tokens_out: int | None
    seconds: float


def find_provider(settings: Settings, name: str, environ: Mapping[str, str] = os.environ) -> Provider:
    """Where a provider is asked, and its key; InputError where one is missing."""
    return read_provider(name, settings.provider_urls.get(name, ""), environ)


def list_providers(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[ProviderStatus]:
    """Every provider, ready or not, and what is missing."""
    found = []
    for name in get_args(ProviderName):
        problem, address = None, settings.provider_urls[name].strip() or OFFICIAL_URLS.get(name, "")
        try:
            find_provider(settings, name, environ)
        except InputError as error:
            problem = str(error)
        found.append(
            ProviderStatus(
                name=name,
                base_url=address if is_address(address) else "",
                key_variable=KEY_VARIABLES[name],
                has_key=bool(environ.get(KEY_VARIABLES[name], "").strip()),
                is_ready=problem is None,
                default_model=DEFAULT_MODELS.get(name),
                problem=problem,
            )
        )
    return found


def try_provider(settings: Settings, name: str, model: str = "") -> ProviderTrial:
    """Ask one tiny question.

    Raises InputError where the key, the model or the question is not accepted, ExternalError where the provider fails.
    """
    provider = find_provider(settings, name)
    asked_model = model or DEFAULT_MODELS.get(name, "")
    if not asked_model:
        raise InputError(f"which model? {name} has no default; give the name that its server knows")
    question = ChatQuestion(
        model=asked_model,
        system="You label features of a sparse autoencoder. Answer with one JSON object.",
        user='A feature fires on these tokens: "Monday", "Tuesday", "Friday". Give semantic_label, category_label, '
        "explanation and confidence.",
        max_output_tokens=200,
        temperature=None,
        schema=ANSWER_SCHEMA,
    )
    try:
        answer = asyncio.run(_ask(provider, question))
    except ChatFailure as failure:
        kind = InputError if failure.cause in (FailureCause.AUTH, FailureCause.REQUEST) else ExternalError
        raise kind(str(failure)) from None
    return ProviderTrial(
        name=name,
        host=provider.host,
        model=answer.model,
        keeps_schema=_is_label(answer.text),
        n_tokens_in=answer.n_tokens_in,
        n_tokens_out=answer.n_tokens_out,
        seconds=round(answer.wall_s, 3),
    )


async def _ask(provider: Provider, question: ChatQuestion) -> ChatAnswer:
    client = open_client(provider, timeout_s=_TRY_S)
    try:
        return await client.ask(question)
    finally:
        await client.close()


def _is_label(text: str) -> bool:
    try:
        read_answer(text)
    except BadAnswer:
        return False
    return True
