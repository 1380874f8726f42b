"""Asks everybody who they are, where the server is not this machine's alone: a bearer token or a browser's cookie.

Closed is what is not named here as open, and a request that is not a GET is a write unless it is named as one that
only computes: a new route is closed and for writers only until somebody decides otherwise.
"""

import re
import time
from collections.abc import Callable
from html import escape
from pathlib import Path

from starlette._utils import get_route_path  # the router's own reading of an address: another one could be walked past
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featlas.api.pages import is_plain_file
from featlas.api.plain_pages import plain_page
from featlas.api.problems import problem_response
from featlas.domain import AccessKind, AccessScope
from featlas.errors import FeatlasError
from featlas.store.access import Access, find_access, is_in_force
from featlas.store.session import Store

COOKIE = "featlas_session"
API = "/api/v1"

OPEN_TO_ALL = frozenset({"/login", "/healthz", "/readyz"})
"""Answered without a token, as are the built page's files, which hold nothing of anybody."""

READERS_MAY_POST = (
    "/logout",
    f"{API}/saes/{{sae}}/rows",
    f"{API}/labelings/plan",
    f"{API}/labelings/preview",
    f"{API}/templates/validate",
)
"""The requests other than GET that change nothing: they compute, or end the reader's own login."""

NO_TOKEN = (
    "this server asks for a token: send `Authorization: Bearer …` (`featlas tokens create` makes one), or open a"
    " one-time address in the browser (`featlas tokens login` prints one)"
)
READ_ONLY = "this access may only read; ask whoever runs the server for one that may write"
_NEEDS_LOGIN = """<p>This Featlas server asks who you are. This browser has no access to it, or its access has ended.
</p><p>Ask whoever runs the server for a one-time address. They get it with:</p>
<pre>featlas tokens login --url {root}</pre>
<p>If you have been let in before and came here by a link, <a href="">go on</a>.</p>"""
_LOOK_AGAIN_S = 1.0


class Doorkeeper:
    """Lets in who has a token or a cookie in force; readers only where nothing changes."""

    def __init__(self, app: ASGIApp, store: Store, ui: Path) -> None:
        self._app, self._store, self._ui = app, store, ui
        self._readers_may_post = [compile_path(path)[0] for path in READERS_MAY_POST]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `state.access`, or answer it with what is missing."""
        if scope["type"] != "http" or self._is_open(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            access = await run_in_threadpool(find_caller, self._store, headers)
        except FeatlasError as error:  # no route is reached, so nobody else would turn it into an answer
            await problem_response(error.http_status, str(error), instance=scope["path"])(scope, receive, send)
            return
        if access is None:
            await _turned_away(scope, headers)(scope, receive, send)
        elif access.scope is AccessScope.READ and not self._changes_nothing(scope):
            await problem_response(403, READ_ONLY, instance=scope["path"])(scope, receive, send)
        else:
            scope.setdefault("state", {})["access"] = access
            await self._app(scope, receive, _while_in_force(send, lambda: is_in_force(self._store, access.id)))

    def _is_open(self, scope: Scope) -> bool:
        path = get_route_path(scope)
        if scope["method"] not in ("GET", "HEAD"):
            return False
        return path in OPEN_TO_ALL or path.startswith("/assets/") or is_plain_file(self._ui, path.removeprefix("/"))

    def _changes_nothing(self, scope: Scope) -> bool:
        if scope["method"] in ("GET", "HEAD"):
            return True
        path = get_route_path(scope)
        return scope["method"] == "POST" and any(known.match(path) for known in self._readers_may_post)


def find_caller(store: Store, headers: Headers) -> Access | None:
    """Who asks; a token counts before a cookie."""
    authorization = headers.get("authorization")
    if authorization is not None:
        bearer = re.fullmatch(r"bearer +(\S+) *", authorization, re.IGNORECASE)
        return None if bearer is None else find_access(store, bearer[1], AccessKind.TOKEN)
    secret = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return find_access(store, secret, AccessKind.SESSION) if secret else None


def _turned_away(scope: Scope, headers: Headers) -> Response:
    is_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    if not is_page or get_route_path(scope).startswith("/api/"):
        more = {"WWW-Authenticate": "Bearer"}
        return problem_response(401, NO_TOKEN, instance=scope["path"], headers=more)
    root = escape(f"{scope['scheme']}://{headers.get('host', '')}{scope.get('root_path', '')}/")
    # A browser keeps a strict cookie to itself where a link of another site led here. Coming again from this page,
    # which is ours, it sends the cookie; without one the same page is shown, and does not send it round again.
    comes_again = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    return plain_page("you need a login", _NEEDS_LOGIN.format(root=root), status=401, go_to="" if comes_again else None)


def _while_in_force(send: Send, is_in_force: Callable[[], bool]) -> Send:
    """Ends a stream of events once its access is revoked or over: no further word is told."""
    is_stream, is_over, looked_at = False, False, time.monotonic()

    async def send_while_in_force(message: Message) -> None:
        nonlocal is_stream, is_over, looked_at
        if message["type"] == "http.response.start":
            is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
        if is_over:
            return
        if is_stream and message["type"] == "http.response.body" and time.monotonic() - looked_at > _LOOK_AGAIN_S:
            looked_at = time.monotonic()
            is_over = not await run_in_threadpool(is_in_force)
        await send({"type": "http.response.body", "body": b"", "more_body": False} if is_over else message)

    return send_while_in_force
