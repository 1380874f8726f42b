"""Sees every request from outside: counts and times it, and writes it into the access log where that is wanted.

What is written is the template of the route, never the path or the query, which may hold somebody's secret.
"""

import logging
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featlas.api.metrics import Metrics

logger = logging.getLogger("featlas.access")

NO_ROUTE = "none"
"""For what was refused before a route was looked for."""
_STREAM = b"text/event-stream"


class Watched:
    """Pure ASGI, because a request through Starlette's own class of middleware costs a task and a stream."""

    def __init__(self, app: ASGIApp, metrics: Metrics, templates: Mapping[int, str]) -> None:
        self._app, self._metrics, self._templates = app, metrics, templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and see what becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, n_bytes, is_stream = 500, 0, False  # what raises is answered with 500 outside of us

        async def seen_send(message: Message) -> None:
            nonlocal status, n_bytes, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = any(name == b"content-type" and _STREAM in value for name, value in message["headers"])
            else:
                n_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, seen_send)
        finally:
            seconds = time.perf_counter() - started
            route = self._template(scope)
            self._metrics.see_request(scope["method"], route, status, None if is_stream else seconds)
            if logger.isEnabledFor(logging.INFO):
                _log(scope["method"], route, status, seconds, n_bytes)

    def _template(self, scope: Scope) -> str:
        route = scope.get("route")
        if route is None:
            return scope.get("probe", NO_ROUTE)
        return self._templates.get(id(route)) or getattr(route, "path", NO_ROUTE)


def _log(method: str, route: str, status: int, seconds: float, n_bytes: int) -> None:
    ms = round(seconds * 1000, 1)
    fields = {"method": method, "route": route, "status": status, "ms": ms, "bytes": n_bytes}
    logger.info("%s %s %d", method, route, status, extra={"fields": fields})
