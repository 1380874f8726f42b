"""The one module that knows the providers' SDKs: it sends one question and says in our own words what came back."""

import asyncio
import datetime as dt
import json
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any

from featlas.domain import FailureCause
from featlas.errors import InputError
from featlas.explain.chat import ChatAnswer, ChatClient, ChatFailure, ChatQuestion
from featlas.explain.provider import Provider

MAX_QUOTE = 200
"""So many characters of a provider's own words are quoted in a message."""

_LONG_KEY = 16
"""A key of so many characters is hidden in answers too; a short one (`ollama`, `none`) may be an honest word there."""

_LOGGERS = ("openai", "anthropic", "httpx2", "httpcore2")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what no database takes for text
_FILTERED = "stopped by the provider's content filter"
_REFUSED = "the model refused, without a reason"


def open_client(provider: Provider, *, timeout_s: float) -> ChatClient:
    """A client that sends one request per question, to this provider only; a question may take `timeout_s` in all.

    Nothing comes from the SDKs' own environment variables. Their loggers are set to WARNING, because below it they
    write whole prompts and the headers of answers. Raises InputError where a proxy of the environment is none.
    """
    wire = _open_anthropic(provider, timeout_s) if provider.name == "anthropic" else _open_openai(provider, timeout_s)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return _SdkClient(provider, wire, timeout_s)


@dataclass(frozen=True)
class _Reading:
    """What a body says, before it is judged; `text` is None where there is none."""

    text: str | None
    is_cut: bool
    refusal: str | None
    n_tokens_in: int | None
    n_tokens_out: int | None
    model: object


@dataclass(frozen=True)
class _Wire:
    """One protocol: sends a question, reads the parsed body of an answer; `sdk` has the errors that sending raises."""

    send: Callable[[ChatQuestion], Awaitable[Any]]
    read: Callable[[Any], _Reading | None]
    close: Callable[[], Awaitable[None]]
    sdk: ModuleType


class _SdkClient:
    def __init__(self, provider: Provider, wire: _Wire, timeout_s: float) -> None:
        self._provider = provider
        self._wire = wire
        self._timeout_s = timeout_s

    async def ask(self, question: ChatQuestion) -> ChatAnswer:
        started = time.perf_counter()
        sdk = self._wire.sdk
        try:
            # The SDK's own time limit is between two bytes; a server may send a byte now and then for ever.
            async with asyncio.timeout(self._timeout_s):
                response = (await self._wire.send(question)).http_response
        except (TimeoutError, sdk.APITimeoutError):
            message = f"no answer within {self._timeout_s:g} s"
            failure = self._failure(FailureCause.TIMEOUT, message, is_retryable=True)
        except sdk.APIConnectionError as error:
            failure = self._connection_failure(error.__cause__)
        except sdk.APIStatusError as error:
            failure = self._status_failure(error.response)
        except UnicodeError:
            failure = self._failure(FailureCause.REQUEST, "the question is not text that can be sent")
        else:
            return self._answer(question, response.content, time.perf_counter() - started)
        # Raised here, where no SDK error is being treated: those hold the request, and it has the key in its headers.
        raise failure

    async def close(self) -> None:
        await self._wire.close()

    def _answer(self, question: ChatQuestion, content: bytes, wall_s: float) -> ChatAnswer:
        body = _parse(content)
        reading = self._wire.read(body)
        if reading is None or (reading.text is None and not reading.is_cut and not reading.refusal):
            words = _error_words(body) or "a body without one"
            raise self._failure(FailureCause.BAD_ANSWER, f"expected a completion, got {words}", is_retryable=True)
        return ChatAnswer(
            text=self._clean(reading.text or ""),
            n_tokens_in=reading.n_tokens_in,
            n_tokens_out=reading.n_tokens_out,
            is_cut=reading.is_cut,
            refusal=self._clean(reading.refusal) if reading.refusal else None,
            model=self._clean(reading.model) if isinstance(reading.model, str) and reading.model else question.model,
            wall_s=wall_s,
        )

    def _status_failure(self, response: Any) -> ChatFailure:
        status = response.status_code
        if 300 <= status < 400:
            message = f"answered {status}, a redirect, which is not followed: it would take the key to another address"
            return self._failure(FailureCause.REQUEST, message)
        body = _parse(response.content)
        words = _error_words(body) or response.text or "nothing more"
        cause, is_retryable = _judge_status(status, body)
        return self._failure(
            cause,
            f"answered {status}: {words}",
            is_retryable=is_retryable,
            retry_after_s=_read_retry_after(response.headers) if is_retryable else None,
        )

    def _connection_failure(self, reason: BaseException | None) -> ChatFailure:
        words = f"{type(reason).__name__}: {reason}" if reason is not None else "no reason given"
        return self._failure(FailureCause.CONNECTION, f"the connection failed, {words}", is_retryable=True)

    def _failure(
        self, cause: FailureCause, words: str, *, is_retryable: bool = False, retry_after_s: float | None = None
    ) -> ChatFailure:
        """A failure in one short line that names the provider and never holds the key, whoever put it there."""
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in words[:5000]).split())
        hidden = self._provider.key.hide_in(line) if self._provider.key else line
        quoted = hidden if len(hidden) <= MAX_QUOTE else f"{hidden[: MAX_QUOTE - 1]}…"
        message = f"{self._provider.name} ({self._provider.host}): {quoted}"
        return ChatFailure(cause, message, is_retryable=is_retryable, retry_after_s=retry_after_s)

    def _clean(self, text: str) -> str:
        """A text that every database and file can hold, without the key should a server have echoed it."""
        key = self._provider.key
        storable = _UNSTORABLE.sub("\ufffd", text)
        return key.hide_in(storable) if key and len(key.reveal()) >= _LONG_KEY else storable


def _open_openai(provider: Provider, timeout_s: float) -> _Wire:
    import openai

    sdk = openai.AsyncOpenAI(
        api_key=provider.key.reveal() if provider.key else "none",
        base_url=provider.url,
        timeout=timeout_s,
        max_retries=0,
        http_client=_open_http(openai, provider, timeout_s),
    )
    # What is None when it is opened is read from the environment, so this is taken back afterwards.
    sdk.admin_api_key = sdk.organization = sdk.project = sdk.webhook_secret = None
    sdk._custom_headers = {}  # OPENAI_CUSTOM_HEADERS, which no option turns off
    create = sdk.chat.completions.with_raw_response.create
    limit = "max_completion_tokens" if provider.name == "openai" else "max_tokens"
    headers = {} if provider.key else {"Authorization": openai.omit}

    async def send(question: ChatQuestion) -> Any:
        messages: list[Any] = [{"role": "system", "content": question.system}] if question.system else []
        options = _options(question)
        if question.schema is not None:
            named = {"name": "label", "strict": True, "schema": dict(question.schema)}
            options["response_format"] = {"type": "json_schema", "json_schema": named}
        options[limit] = question.max_output_tokens
        messages.append({"role": "user", "content": question.user})
        return await create(model=question.model, messages=messages, extra_headers=headers, **options)

    return _Wire(send, _read_completion, sdk.close, openai)


def _open_anthropic(provider: Provider, timeout_s: float) -> _Wire:
    import anthropic

    assert provider.key is not None  # Provider sees to it; without one the SDK would look for files with credentials
    sdk = anthropic.AsyncAnthropic(
        api_key=provider.key.reveal(),
        base_url=provider.url,
        timeout=timeout_s,
        max_retries=0,
        open_telemetry=False,
        http_client=_open_http(anthropic, provider, timeout_s),
    )
    sdk.webhook_key = None
    sdk._custom_headers = {}  # ANTHROPIC_CUSTOM_HEADERS, which no option turns off
    create = sdk.messages.with_raw_response.create

    async def send(question: ChatQuestion) -> Any:
        # The SDK has no argument for the temperature any more, as newer models take none; older ones still do.
        options: dict[str, Any] = {"extra_body": _options(question)}
        if question.schema is not None:
            options["output_config"] = {"format": {"type": "json_schema", "schema": dict(question.schema)}}
        if question.system:
            options["system"] = question.system
        return await create(
            model=question.model,
            messages=[{"role": "user", "content": question.user}],
            max_tokens=question.max_output_tokens,
            **options,
        )

    return _Wire(send, _read_message, sdk.close, anthropic)


def _options(question: ChatQuestion) -> dict[str, Any]:
    return {} if question.temperature is None else {"temperature": question.temperature}


def _open_http(sdk: ModuleType, provider: Provider, timeout_s: float) -> Any:
    """The SDK's HTTP client, except that it follows no redirect.

    A proxy of the environment is used for https only: of other requests it would read the key.
    """
    is_encrypted = provider.url.startswith("https:")
    try:
        return sdk.DefaultAsyncHttpxClient(timeout=timeout_s, follow_redirects=False, trust_env=is_encrypted)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"HTTPS_PROXY or ALL_PROXY names a proxy that cannot be used ({type(error).__name__})"
        ) from None


def _read_completion(body: Any) -> _Reading | None:
    match body:
        case {"choices": [{"message": {**message}, **choice}, *_]}:
            text, ending = _join(message.get("content")), choice.get("finish_reason")
            refusal = message.get("refusal")
            if not (isinstance(refusal, str) and refusal):
                refusal = (text or _FILTERED) if ending == "content_filter" else None
            usage = _mapping(body.get("usage"))
            n_in, n_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
            return _Reading(text, ending == "length", refusal, n_in, n_out, body.get("model"))
        case _:
            return None


def _read_message(body: Any) -> _Reading | None:
    match body:
        case {"content": list(content)}:
            text, ending = _join(content), body.get("stop_reason")
            explanation = _mapping(body.get("stop_details")).get("explanation")
            if not isinstance(explanation, str):
                explanation = text
            usage = _mapping(body.get("usage"))
            n_in = _count(usage.get("input_tokens"))
            if n_in is not None:  # what the provider kept of the prompt is told apart
                n_in += sum(_count(usage.get(f"cache_{kind}_input_tokens")) or 0 for kind in ("creation", "read"))
            return _Reading(
                text=text,
                is_cut=ending in ("max_tokens", "model_context_window_exceeded"),
                refusal=(explanation or _REFUSED) if ending == "refusal" else None,
                n_tokens_in=n_in,
                n_tokens_out=_count(usage.get("output_tokens")),
                model=body.get("model"),
            )
        case _:
            return None


def _join(content: object) -> str | None:
    """A content that is a text, or parts of which some are; None without any."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [
        part["text"] for part in parts if _mapping(part).get("type") == "text" and isinstance(part.get("text"), str)
    ]
    return "".join(texts) if texts else None


def _parse(content: bytes) -> Any:
    """What JSON says; None where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < 2**31 else None


def _error_words(body: Any) -> str:
    """The message in an error body of any of the servers that are asked; empty where it has none."""
    match body:
        case (
            {"error": {"message": str(words)}}
            | {"error": str(words)}
            | {"message": str(words)}
            | {"detail": str(words)}
        ):
            return words
        case _:
            return ""


def _judge_status(status: int, body: Any) -> tuple[FailureCause, bool]:
    """What a status is a case of, and whether the same request may do better later."""
    error = _mapping(_mapping(body).get("error"))
    if status in (401, 403):
        return FailureCause.AUTH, False
    if status in (402, 429):  # an account without money is told as one of too many requests, and does not recover
        is_empty = status == 402 or "insufficient_quota" in (error.get("code"), error.get("type"))
        return FailureCause.RATE_LIMIT, not is_empty
    if status in (408, 409) or status >= 500:
        return FailureCause.SERVER, True
    return FailureCause.REQUEST, False


def _read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from milliseconds, seconds or an HTTP date; never below 0, None where nothing usable is said."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - dt.datetime.now(dt.UTC)).total_seconds())
