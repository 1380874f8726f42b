"""Keeps other sites out of a server that knows no users yet: only this machine's own pages may talk to it.

A page of any site can send requests to a loopback address, and a name of its own can point there. So the Host must be
one of ours (else a foreign name was made to point here), and an Origin, where a browser sends one, must be the same.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from featlas.api.problems import problem_response

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class OnlyOurselves:
    """Refuses requests whose Host is not allowed or whose Origin is another site."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str] = LOOPBACK_NAMES) -> None:
        self._app, self._allowed = app, frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with what is wrong."""
        if scope["type"] == "http":
            fault = self._fault(Headers(scope=scope))
            if fault:
                await problem_response(403, fault, instance=scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _fault(self, headers: Headers) -> str:
        host = headers.get("host", "")
        if _name(f"//{host}") not in self._allowed:
            names = ", ".join(sorted(self._allowed))
            return f"the host {host!r} is not served here; expected one of {names}"
        origin = headers.get("origin")
        # Behind a proxy that renames the host the browser's own word counts: no page can set or forge this header.
        is_own_page = headers.get("sec-fetch-site") == "same-origin"
        if origin is not None and not is_own_page and urlsplit(origin).netloc.lower() != host.lower():
            return f"a page of {origin} may not use this server; open its own pages"
        return ""


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
