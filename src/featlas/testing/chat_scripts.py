"""What a scripted chat server is told to do: steps that it can take, and scripts that choose one by the prompt."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ChatProtocol = Literal["openai", "anthropic"]


@dataclass(frozen=True)
class ChatRequest:
    """One request as it arrived; `arrived_s` is on the machine's monotonic clock, header names are in lower case.

    `n` counts requests from 0, `n_same` those before it with the same prompt. `root` is the user text of the earliest
    request whose lines this one begins with: the first question, where this one is its repair, else its own text.
    """

    protocol: ChatProtocol
    model: str
    system: str
    user: str
    schema: Mapping[str, Any] | None
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    n: int
    n_same: int
    root: str
    arrived_s: float

    @property
    def key(self) -> str:
        """The key that was sent, empty without one."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Answer:
    """A completion that came to its end."""

    text: str
    has_usage: bool = True


@dataclass(frozen=True)
class Truncate:
    """A completion that ran into the limit of tokens, as far as it came."""

    text: str


@dataclass(frozen=True)
class Refuse:
    """The model refuses, in these words; or, for OpenAI, the content filter does, without any."""

    words: str = "I'm sorry, but I can't help with that."
    is_filtered: bool = False


@dataclass(frozen=True)
class Raw:
    """A body of status 200, as it is."""

    body: str
    content_type: str = "application/json"


@dataclass(frozen=True)
class Status:
    """An error, with a body as the protocol has it for `message` and `error_code`, unless another one is given."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "scripted failure"
    error_code: str | None = None
    body: str | None = None


@dataclass(frozen=True)
class CloseSocket:
    """The connection ends before anything was sent, or in the middle of the body."""

    in_body: bool = False


@dataclass(frozen=True)
class Drip:
    """A completion whose body takes so many seconds to arrive, a few bytes at a time."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Delay:
    """The next step, so many seconds later."""

    seconds: float
    then: "Step"


Step = Answer | Truncate | Refuse | Raw | Status | CloseSocket | Drip | Delay
Script = Callable[[ChatRequest], Step]


def in_prose(text: str) -> str:
    """Wrapped as a talkative model wraps JSON."""
    return f"Sure! Here is the label you asked for:\n\n{text}\n\nLet me know if you need anything else."


def in_fence(text: str) -> str:
    """Wrapped in a Markdown code block."""
    return f"```json\n{text}\n```"


def after_thinking(text: str) -> str:
    """After thoughts, which try JSON of their own."""
    draft = json.dumps({"semantic_label": "a thought", "category_label": "Thought", "explanation": "not yet"})
    return f"<think>\nThe user wants a label. Perhaps {draft}? No.\n</think>\n\n{text}"


def label_answer(user: str) -> str:
    """The label that the built-in scripts give for a user text: JSON that a labeling job accepts."""
    label = {
        "semantic_label": f"label of {_digest(user)[:8]}",
        "category_label": "Test > Scripted",
        "explanation": f"Scripted for the prompt {_digest(user)[:8]}.",
        "confidence": 0.5,
    }
    return json.dumps(label)


def answer_label(request: ChatRequest) -> Step:
    """The script `label`: every prompt gets its label."""
    return Answer(label_answer(request.root))


MIXED_ANSWERED = ("answer", "prose", "fence", "think", "limit_once", "error_once", "overload_once", "close_once")
MIXED_FAILED = ("refuse", "truncate", "broken")
_MIXTURE = ("answer",) * 8 + MIXED_ANSWERED[1:] + MIXED_FAILED


def mixed_kind(user: str) -> str:
    """What the script `mixed` does with a user text: one of MIXED_ANSWERED, which end in a label, or MIXED_FAILED."""
    return _MIXTURE[int(_digest(user)[8:16], 16) % len(_MIXTURE)]


def answer_mixed(request: ChatRequest) -> Step:
    """The script `mixed`: by the prompt everything that servers and models do; what fails once fails the first time."""
    text = label_answer(request.root)
    steps: dict[str, tuple[Step, Step]] = {
        "answer": (Answer(text), Answer(text)),
        "prose": (Answer(in_prose(text)), Answer(in_prose(text))),
        "fence": (Answer(in_fence(text)), Answer(in_fence(text))),
        "think": (Answer(after_thinking(text)), Answer(after_thinking(text))),
        "limit_once": (Status(429, {"Retry-After": "0.1"}, "slow down"), Answer(text)),
        "error_once": (Status(500), Answer(text)),
        "overload_once": (Status(529, message="overloaded"), Answer(text)),
        "close_once": (CloseSocket(in_body=len(text) % 2 == 0), Answer(text)),
        "refuse": (Refuse(), Refuse()),
        "truncate": (Truncate(text[:40]), Truncate(text[:40])),
        "broken": (Answer(text[:-20]), Answer(text[:-20])),
    }
    first, later = steps[mixed_kind(request.root)]
    return later if request.n_same else first


SCRIPTS: Mapping[str, Script] = {"label": answer_label, "mixed": answer_mixed}


def delayed(script: Script, seconds: float) -> Script:
    """The same script, every answer so many seconds later."""
    return (lambda request: Delay(seconds, script(request))) if seconds else script


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
