"""Answers of language models that were paid for, found again by the hash of everything that was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from featlas.errors import NotFoundError
from featlas.store.plain import plain_json
from featlas.store.session import Store
from featlas.store.tables import LlmResponseRow, utc_now


@dataclass(frozen=True)
class Response:
    """One answer: `request` is what was asked, word for word, `response` what came (`text` and `model`)."""

    key: str
    provider: str
    model: str
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    n_tokens_in: int | None
    n_tokens_out: int | None
    cost_micro_usd: int | None
    wall_s: float | None


def find_response(session: Session, key: str) -> Response | None:
    """The answer kept under a key, or None."""
    row = session.get(LlmResponseRow, key)
    return None if row is None else _response_of(row)


def _response_of(row: LlmResponseRow) -> Response:
    return Response(
        key=row.cache_key,
        provider=row.provider,
        model=row.model,
        request=row.request or {},
        response=row.response,
        n_tokens_in=row.n_tokens_in,
        n_tokens_out=row.n_tokens_out,
        cost_micro_usd=row.cost_micro_usd,
        wall_s=row.wall_s,
    )


def fetch_response(session: Session, key: str) -> Response:
    """The answer kept under a key; raises NotFoundError."""
    found = find_response(session, key)
    if found is None:
        raise NotFoundError(f"there is no kept answer {key[:12]}; it was cleared, or never came")
    return found


def list_newest_responses(session: Session, provider: str, model: str, limit: int = 50) -> list[Response]:
    """The newest answers of a model, newest first."""
    of_model = (LlmResponseRow.provider == provider, LlmResponseRow.model == model)
    rows = session.scalars(
        select(LlmResponseRow).where(*of_model).order_by(LlmResponseRow.created_at.desc()).limit(limit)
    )
    return [_response_of(row) for row in rows]


def save_responses(session: Session, responses: Sequence[Response]) -> None:
    """Keep answers; of two under one key the first stays."""
    if not responses:
        return
    connection = session.connection()
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(LlmResponseRow).on_conflict_do_nothing(index_elements=["cache_key"])
    connection.execute(statement, [_row(one) for one in responses])


def save_responses_alone(store: Store, responses: Sequence[Response]) -> None:
    """Keep answers that become no labels, in a transaction of their own."""
    with store.write() as session:
        save_responses(session, responses)


def _row(one: Response) -> dict[str, Any]:
    return {
        "cache_key": one.key,
        "provider": one.provider,
        "model": one.model,
        "request": plain_json(one.request),
        "response": plain_json(one.response),
        "n_tokens_in": one.n_tokens_in,
        "n_tokens_out": one.n_tokens_out,
        "cost_micro_usd": one.cost_micro_usd,
        "wall_s": one.wall_s,
        "created_at": utc_now(),
    }
