"""One question to a language model and what comes back, in words that no provider owns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from featlas.domain import FailureCause


@dataclass(frozen=True)
class ChatQuestion:
    """Everything that decides an answer. `schema` is a JSON schema that the answer must follow; None asks for text.

    `temperature` None leaves it to the provider: some models accept no other.
    """

    model: str
    system: str
    user: str
    max_output_tokens: int
    temperature: float | None
    schema: Mapping[str, Any] | None


@dataclass(frozen=True)
class ChatAnswer:
    """A completion as it came. Token counts are the provider's own, None where it tells none.

    `is_cut` says that it ran into `max_output_tokens`, `refusal` holds the words with which the model refused.
    """

    text: str
    n_tokens_in: int | None
    n_tokens_out: int | None
    is_cut: bool
    refusal: str | None
    model: str
    wall_s: float


class ChatFailure(Exception):
    """No answer came. `retry_after_s` is what the provider asked to wait; `is_retryable` whether waiting can help."""

    def __init__(
        self, cause: FailureCause, message: str, *, is_retryable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.is_retryable = is_retryable
        self.retry_after_s = retry_after_s


class ChatClient(Protocol):
    """Asks one provider. One `ask` is one request: whoever calls it counts, waits and repeats."""

    async def ask(self, question: ChatQuestion) -> ChatAnswer:
        """The answer; raises ChatFailure where none came."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...
