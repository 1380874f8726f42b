"""Pages that the server writes itself, where the built page cannot be shown: plain HTML that needs no script."""

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse

_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#222222;"
    "background:#ffffff;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap}"
    "pre,code{font-family:ui-monospace,monospace;background:#f2f2f2;padding:.1em .3em;border-radius:4px}"
    "a{color:#8a4d00}"
    "@media(prefers-color-scheme:dark){body{color:#dddddd;background:#161616}pre,code{background:#2a2a2a}"
    "a{color:#f3b35a}}"
)
STYLE_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
"""What a Content-Security-Policy says to allow that one style."""


def plain_page(title: str, body: str, *, status: int, go_to: str | None = None) -> HTMLResponse:
    """A page of that title over `body`, which is HTML; `go_to` is where the browser goes from it by itself."""
    refresh = "" if go_to is None else f'<meta http-equiv="refresh" content="0; url={escape(go_to)}">'
    return HTMLResponse(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Featlas: {escape(title)}</title>{refresh}<style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>",
        status_code=status,
        headers={"Cache-Control": "no-store"},
    )
