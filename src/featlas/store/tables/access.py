"""Who may come in where the server is not this machine's alone; only hashes of tokens are kept."""

from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from featlas.domain import AccessKind, AccessScope
from featlas.store.tables.types import NEVER_REUSED, CreatedAt, Id, InstantOrNone, Row, Uid, checked


class AccessTokenRow(Row):
    """A bearer token, the secret of a one-time address, or the cookie that one was exchanged for.

    `hash` is the SHA-256 of the secret in hex; the secret itself is shown once and kept nowhere.
    """

    __tablename__ = "access_tokens"
    __table_args__: Any = (NEVER_REUSED,)

    id: Mapped[Id]
    uid: Mapped[Uid]
    name: Mapped[str] = mapped_column(String(200))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[AccessKind] = mapped_column(checked(AccessKind, "kind"))
    scope: Mapped[AccessScope] = mapped_column(checked(AccessScope, "scope"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[InstantOrNone]
    used_at: Mapped[InstantOrNone]
    revoked_at: Mapped[InstantOrNone]
