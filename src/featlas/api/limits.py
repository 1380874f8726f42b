"""Keeps one client from taking the server's memory or all of its places: longest bodies, most streams."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import HTTPException, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featlas.api.problems import problem_response

TRY_AGAIN_S = 15
"""As long as the page itself waits before it opens a stream again."""
_MOST_DIGITS = 18


class BodyLimit:
    """Refuses bodies over a number of bytes, by what they say of their length and by what comes."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body counted; or answer it with 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and (len(told) > _MOST_DIGITS or int(told) > self._max_bytes):
            await problem_response(413, self._fault(), instance=scope["path"])(scope, receive, send)
            return
        n_bytes = 0

        async def receive_counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._max_bytes:
                raise HTTPException(413, self._fault())
            return message

        await self._app(scope, receive_counted, send)

    def _fault(self) -> str:
        return f"the body is too long; expected at most {self._max_bytes:,} bytes (FEATLAS_MAX_BODY_BYTES)"


@dataclass
class StreamPlaces:
    """How many streams may be open at once, in all and by one token; a stream holds a queue and a connection."""

    n_in_all: int
    n_each: int
    _taken: Counter[int | None] = field(default_factory=Counter)

    @contextmanager
    def taking_one(self, whose: int | None):
        """A place for the length of the block; where none is left, 429 with the seconds to wait."""
        is_full = self._taken.total() >= self.n_in_all
        if is_full or (whose is not None and self._taken[whose] >= self.n_each):
            most = f"{self.n_in_all} in all" if is_full else f"{self.n_each} with one token"
            raise HTTPException(
                429,
                f"too many event streams are open (at most {most}); close some, or ask GET /jobs now and then instead",
                headers={"Retry-After": str(TRY_AGAIN_S)},
            )
        self._taken[whose] += 1
        try:
            yield
        finally:
            self._taken[whose] -= 1
            if not self._taken[whose]:
                del self._taken[whose]


async def take_place(request: Request) -> AsyncIterator[None]:
    """A dependency of streams: their place is free again once the answer has ended."""
    access = getattr(request.state, "access", None)
    places: StreamPlaces = request.app.state.stream_places
    with places.taking_one(None if access is None else access.id):
        yield
