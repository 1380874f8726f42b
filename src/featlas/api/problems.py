"""Turns every failure of a request into RFC 9457 problem details that say what happened and what to do."""

import logging
import uuid
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from featlas.api.headers import SAFE_HEADERS
from featlas.api.schemas import Problem
from featlas.errors import FeatlasError
from featlas.query import QueryError, SortError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


def add_problem_answers(app: FastAPI) -> None:
    """Let the application answer failures with problem details."""
    app.add_exception_handler(FeatlasError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_bad_request)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_unexpected)


def problem_response(
    status: int, detail: str, *, instance: str | None = None, headers: dict[str, str] | None = None, **more: object
) -> JSONResponse:
    """An error as the API sends it."""
    fields = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, "instance": instance, **more}
    problem = Problem.model_validate(fields)
    return JSONResponse(problem.model_dump(mode="json"), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def utf16_place(text: str, place: int) -> int:
    """A place in code points as JavaScript counts it."""
    return len(text[:place].encode("utf-16-le", errors="surrogatepass")) // 2


def _answer_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FeatlasError)
    more: dict[str, Any] = {"error_class": type(error).__name__}
    if isinstance(error, QueryError):
        asked = request.query_params.get("q")
        if asked is not None and not isinstance(error, SortError):  # else the places are in another text
            more["position"] = (utf16_place(asked, error.span.start), utf16_place(asked, error.span.end))
        more["expected"] = error.expected or None
    return problem_response(error.http_status, str(error), instance=request.url.path, **more)


def _answer_bad_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [
        f"{'.'.join(str(step) for step in e['loc'][1:]) or e['loc'][0]}: {e['msg'].removeprefix('Value error, ')}"
        for e in error.errors()
    ]
    return problem_response(422, "; ".join(found), instance=request.url.path, error_class="InputError")


def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"there is nothing at {request.url.path}; /api/openapi.json lists what there is"
    elif error.status_code == HTTPStatus.BAD_REQUEST and isinstance(error.__cause__, UnicodeDecodeError):
        detail = "the body is no text in UTF-8; expected JSON"
    headers = dict(error.headers) if error.headers else None
    return problem_response(error.status_code, detail, instance=request.url.path, headers=headers)


def _answer_unexpected(request: Request, error: Exception) -> JSONResponse:
    number = uuid.uuid4().hex[:8]
    logger.error("request %s: %s %s failed", number, request.method, request.url.path, exc_info=error)
    name = type(error).__name__
    detail = f"unexpected {name}: {error}; the server's log has the traceback under request {number}"
    # This answer is made outside of all else that an answer passes, so it brings its headers along.
    return problem_response(500, detail, instance=request.url.path, headers=SAFE_HEADERS, error_class=name)
