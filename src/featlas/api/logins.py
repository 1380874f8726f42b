"""Where browsers come in and go out: a one-time address becomes a cookie, and a logout ends it."""

from fastapi import APIRouter, Request, Response

from featlas.api.doorkeeper import COOKIE
from featlas.api.plain_pages import plain_page
from featlas.api.surroundings import Here
from featlas.domain import AccessKind
from featlas.store.access import SESSION_LASTS, end_session, exchange_login

router = APIRouter(include_in_schema=False)

_NO_GOOD = """<p>Such an address works once, for fifteen minutes; this one has been used, has ended, or was
never given.</p><p>Ask whoever runs the server for another: <code>featlas tokens login</code> prints it.</p>"""
_COME_IN = '<p>You are logged in: <a href="./">open Featlas</a>.</p>'


@router.get("/login")
def login(request: Request, here: Here, code: str = "") -> Response:
    """Exchange the code of a one-time address for a cookie, and go on to the page.

    The page is not told by a redirect: after a link on another site a browser would follow that without a cookie that
    is for this site alone. From a page of ours it sends it.
    """
    taken = exchange_login(here.store, code) if code else None
    if taken is None:
        return plain_page("this address is no good any more", _NO_GOOD, status=401)
    _, secret = taken
    answer = plain_page("you are logged in", _COME_IN, status=200, go_to="./")
    answer.headers["Referrer-Policy"] = "no-referrer"  # the address holds the code
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_LASTS.total_seconds()),
        path=request.scope.get("root_path") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout", status_code=204)
def logout(request: Request, here: Here) -> Response:
    """End the browser's login; a token for programs is ended by `featlas tokens revoke`."""
    access = getattr(request.state, "access", None)
    if access is not None and access.kind is AccessKind.SESSION:
        end_session(here.store, access.id)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/", httponly=True, samesite="strict")
    return answer
