"""Serves the built UI: its files, and its one page for every address that is a screen.

The page asks for its files relative to a base that is written into it per request, so it works under any path, behind
a proxy that strips a prefix and behind none, without being told.
"""

import gzip
import re
from functools import lru_cache
from html import escape
from mimetypes import guess_type
from pathlib import Path
from stat import S_ISREG
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from featlas.api.plain_pages import plain_page

FOREVER = "public, max-age=31536000, immutable"
AN_HOUR = "public, max-age=3600"
N_FIRST_ROWS = 24
"""As many as the page's list asks for with its matches."""
_LONGEST_NAME = 100
_AS_THEY_ARE = "!'()*~"  # what encodeURIComponent leaves as it is

_NO_UI = """<p>The API answers (see <a href="api/openapi.json">what it offers</a>), but this copy of Featlas has no
web page in it. In a checkout, build it with Node 20 or newer:</p><pre>make ui</pre>
<p>Then load this page again. An installed wheel has the page inside; if you see this there, please report it.</p>"""


class _Assets(StaticFiles):
    """Files whose names hold a hash of their content, so browsers may keep them."""

    def file_response(self, *args, **kwargs) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = FOREVER
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        full_path, stat = self.lookup_path(path)
        if stat is not None and S_ISREG(stat.st_mode) and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            kind = guess_type(path)[0] or "application/octet-stream"
            headers = {"Cache-Control": FOREVER, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Response(_packed(full_path, stat.st_mtime_ns), media_type=kind, headers=headers)
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            raise HTTPException(error.status_code, f"there is no file {path!r}; reload the page") from error


@lru_cache(maxsize=64)
def _packed(path: str, mtime_ns: int) -> bytes:
    """A file of the build, packed once per time of change: the script is most of what a first visit waits for."""
    return gzip.compress(Path(path).read_bytes())


def add_pages(app: FastAPI, folder: Path) -> None:
    """Serve the UI in `folder`; without one, a page that says how to get it. Must be added after all other routes."""
    # Whether it is there is asked at every request: the page may be built while the server runs.
    app.mount("/assets", _Assets(directory=folder / "assets", check_dir=False))

    @app.get("/api/{rest:path}", include_in_schema=False)
    def nothing_there(rest: str) -> Response:
        raise HTTPException(404)

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str, request: Request) -> Response:
        return _page(folder, path, request.query_params)


def is_plain_file(folder: Path, path: str) -> bool:
    """Whether that is a file beside the page, as its icon."""
    if not path or "/" in path or "\0" in path or path == "index.html":
        return False
    return len(path) <= _LONGEST_NAME and (folder / path).is_file()


def _page(folder: Path, path: str, search: QueryParams) -> Response:
    index = folder / "index.html"
    if not index.is_file():
        return plain_page("the web page is not built", _NO_UI, status=503)
    if is_plain_file(folder, path):
        return _plain_file(folder / path)
    depth = path.count("/")
    base = "../" * depth or "./"
    head = f'<head><base href="{base}">{_hints(path, search)}'
    html = index.read_text(encoding="utf-8").replace("<head>", head, 1)
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


def _hints(path: str, search: QueryParams) -> str:
    """What the list of features will ask for first, so that it is on its way while the page's script still loads.

    The browser takes an answer for the page's own request only if both addresses are equal to the letter; where they
    are not, the page asks again, and all that was lost is one answer.
    """
    sae = re.fullmatch(r"s/([^/]+)/features", path)
    if sae is None:
        return ""
    list_of = f"api/v1/saes/{quote(sae[1], safe=_AS_THEY_ARE)}"
    known = {name: search[name] for name in ("run", "q", "sort") if search.get(name, "").strip()}
    address = f"{list_of}/matches?{_as_browsers_write(known | {'rows': str(N_FIRST_ROWS)})}"
    return f'<link rel="preload" as="fetch" crossorigin="anonymous" href="{escape(address)}">'


def _as_browsers_write(search: dict[str, str]) -> str:
    """As URLSearchParams writes it: a form's encoding, which leaves * alone and not ~."""
    return urlencode(search, safe="*").replace("~", "%7E")


def _plain_file(path: Path) -> Response:
    from starlette.responses import FileResponse

    # Browsers look at the icon again whenever the title changes; scripts must fit the page that names them.
    return FileResponse(path, headers={"Cache-Control": AN_HOUR if path.suffix == ".svg" else "no-cache"})
