"""Keeps other sites' pages out: only a page of this server's own may talk to it from a browser.

A page of any site can send requests to any address, and a name of its own can be made to point here. So the Host must
be one of ours, and an Origin, where a browser sends one, must be the same. Who asks is not the question here: that is
the doorkeeper's.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from featlas.api.door import Door
from featlas.api.problems import problem_response


class OnlyOurselves:
    """Refuses requests whose Host is not allowed or whose Origin is another site."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._allowed = app, frozenset(host.lower() for host in door.allowed_hosts)
        self._allows_addresses = door.allows_addresses

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
        if not self._is_ours(_name(f"//{host}")):
            names = ", ".join(sorted(self._allowed))
            return (
                f"the host {host!r} is not served here; expected one of {names} (`featlas serve --allowed-host NAME`"
                " adds one)"
            )
        origin = headers.get("origin")
        # Behind a proxy that renames the host the browser's own word counts: no page can set or forge this header.
        is_own_page = headers.get("sec-fetch-site") == "same-origin"
        if origin is not None and not is_own_page and urlsplit(origin).netloc.lower() != host.lower():
            return f"a page of {origin} may not use this server; open its own pages"
        return ""

    def _is_ours(self, name: str | None) -> bool:
        # To make a browser believe that a foreign page is of this server needs a name, which its owner points here; a
        # page that was opened by an address is of that address.
        return name in self._allowed or (self._allows_addresses and name is not None and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
