"""Tells browsers on every answer what a page of ours may do: load from here only, and be framed by nobody."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featlas.api.plain_pages import STYLE_HASH

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": f"'self' {STYLE_HASH}",  # React sets styles through the CSSOM, which no policy forbids
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}

SAFE_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with it browsers send forms of our own page with the Origin `null`, which the guard refuses.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SafeHeaders:
    """Adds the headers to every answer that does not say otherwise itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and the answer back, with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                if "/api/" in scope["path"]:  # whatever stands in front must not show one reader's to another
                    headers.setdefault("Cache-Control", "private")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
