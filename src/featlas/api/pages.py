"""Serves the built UI: its files, and its one page for every address that is a screen.

The page asks for its files relative to a base that is written into it per request, so it works under any path, behind
a proxy that strips a prefix and behind none, without being told.
"""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

FOREVER = "public, max-age=31536000, immutable"

NO_UI = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Featlas: the page is missing</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#222222}
pre{font-family:ui-monospace,monospace;background:#f2f2f2;padding:.1em .3em;border-radius:4px}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}pre{background:#2a2a2a}a{color:#f3b35a}}</style>
</head><body><h1>The web page is not built</h1>
<p>The API answers (see <a href="api/openapi.json">what it offers</a>), but this copy of Featlas has no web page in it.
In a checkout, build it with Node 20 or newer:</p><pre>make ui</pre>
<p>Then load this page again. An installed wheel has the page inside; if you see this there, please report it.</p>
</body></html>"""


class _Assets(StaticFiles):
    """Files whose names hold a hash of their content, so browsers may keep them."""

    def file_response(self, *args, **kwargs) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = FOREVER
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            raise HTTPException(error.status_code, f"there is no file {path!r}; reload the page") from error


def add_pages(app: FastAPI, folder: Path) -> None:
    """Serve the UI in `folder`; without one, a page that says how to get it. Must be added after all other routes."""
    # Whether it is there is asked at every request: the page may be built while the server runs.
    app.mount("/assets", _Assets(directory=folder / "assets", check_dir=False))

    @app.get("/api/{rest:path}", include_in_schema=False)
    def nothing_there(rest: str) -> Response:
        raise HTTPException(404)

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str, request: Request) -> Response:
        return _page(folder, path)


def _page(folder: Path, path: str) -> Response:
    index = folder / "index.html"
    if not index.is_file():
        return HTMLResponse(NO_UI, status_code=503)
    if path and "/" not in path and path != "index.html" and (folder / path).is_file():
        return _plain_file(folder / path)
    depth = path.count("/")
    base = "../" * depth or "./"
    html = index.read_text(encoding="utf-8").replace("<head>", f'<head><base href="{base}">', 1)
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


def _plain_file(path: Path) -> Response:
    from starlette.responses import FileResponse

    return FileResponse(path, headers={"Cache-Control": "no-cache"})
