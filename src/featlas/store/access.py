"""Who may come in: tokens, one-time addresses and the browser sessions they become; only hashes of secrets are kept.

A secret is 32 random bytes, so its SHA-256 needs no salt and cannot be guessed back. It is looked up by that hash: what
a database's comparison of hashes could tell by its time says nothing about the secret behind one.
"""

import datetime as dt
import hashlib
import secrets
import unicodedata
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.orm import Session

from featlas.domain import AccessKind, AccessScope
from featlas.errors import ConflictError, FeatlasError, InputError, NotFoundError
from featlas.store.session import Store
from featlas.store.tables import AccessTokenRow, utc_now
from featlas.store.uids import new_uid

PREFIX = "featlas_"
"""What every secret begins with, so that scanners of leaked secrets can know it."""

LOGIN_LASTS = dt.timedelta(minutes=15)
SESSION_LASTS = dt.timedelta(days=30)
MAX_DAYS = 36_500
_MAX_NAME = 200
_USE_IS_NOTED_EVERY = dt.timedelta(minutes=1)
_KEPT_AFTER_ITS_END = dt.timedelta(days=30)
_SHORTEST_START = 8


@dataclass(frozen=True)
class Access:
    """One that may come in, as it was at one moment; the secret is not among it."""

    id: int
    uid: str
    name: str
    kind: AccessKind
    scope: AccessScope
    created_at: dt.datetime
    expires_at: dt.datetime | None
    used_at: dt.datetime | None
    revoked_at: dt.datetime | None

    @property
    def is_in_force(self) -> bool:
        """Neither revoked nor over, nor an address that was used."""
        if self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= utc_now()):
            return False
        return self.kind is not AccessKind.LOGIN or self.used_at is None


def create_token(
    store: Store, name: str, *, scope: AccessScope = AccessScope.WRITE, days: int | None = None
) -> tuple[Access, str]:
    """A new token for programs, and its secret, which nobody can find out again.

    Raises InputError for a bad name or length of time, ConflictError for the name of a token in force.
    """
    checked = _checked_name(name)
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise InputError(f"--days {days}: expected 1 … {MAX_DAYS}; without it the token lasts until it is revoked")
    with store.write() as session:
        if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time anyway
            session.execute(text("LOCK TABLE access_tokens IN SHARE ROW EXCLUSIVE MODE"))
        same = session.scalars(
            select(AccessTokenRow).where(AccessTokenRow.name == checked, AccessTokenRow.kind == AccessKind.TOKEN)
        )
        if any(_access_of(row).is_in_force for row in same):
            raise ConflictError(f"there is a token {checked!r} already; revoke it first, or choose another name")
        return _add(session, checked, AccessKind.TOKEN, scope, None if days is None else dt.timedelta(days=days))


def create_login(store: Store, name: str = "browser", *, scope: AccessScope = AccessScope.WRITE) -> str:
    """The secret of a new one-time address; the session that it becomes has its name and scope."""
    checked = _checked_name(name)
    with store.write() as session:
        _forget_the_long_over(session)
        return _add(session, checked, AccessKind.LOGIN, scope, LOGIN_LASTS)[1]


def exchange_login(store: Store, secret: str) -> tuple[Access, str] | None:
    """The session that a one-time address becomes, and its secret; None where the address is no good (any more).

    One statement takes the address, so two browsers at once get one session between them.
    """
    now, row = utc_now(), AccessTokenRow
    taken = (
        update(row)
        .where(row.hash == _hash(secret), row.kind == AccessKind.LOGIN, row.used_at.is_(None))
        .where(row.revoked_at.is_(None), row.expires_at > now)
        .values(used_at=now)
        .returning(row.name, row.scope)
        .execution_options(synchronize_session=False)
    )
    with store.write() as session:
        found = session.execute(taken).one_or_none()
        return None if found is None else _add(session, found.name, AccessKind.SESSION, found.scope, SESSION_LASTS)


def find_access(store: Store, secret: str, kind: AccessKind) -> Access | None:
    """Whose secret that is, if it is in force now."""
    with store.read() as session:
        row = session.scalar(
            select(AccessTokenRow).where(AccessTokenRow.hash == _hash(secret), AccessTokenRow.kind == kind)
        )
        found = None if row is None else _access_of(row)
    if found is None or not found.is_in_force:
        return None
    _note_use(store, found)
    return found


def is_in_force(store: Store, access_id: int) -> bool:
    """Whether one that came in may stay."""
    with store.read() as session:
        row = session.get(AccessTokenRow, access_id)
        return row is not None and _access_of(row).is_in_force


def list_access(store: Store, *, ended: bool = False) -> list[Access]:
    """Tokens, unused addresses and sessions in force, newest first; with `ended` the others too."""
    with store.read() as session:
        rows = session.scalars(select(AccessTokenRow).order_by(AccessTokenRow.id.desc()))
        return [access for access in map(_access_of, rows) if ended or access.is_in_force]


def revoke(store: Store, ref: str) -> list[Access]:
    """End what has that name, that uid or a uid that starts so; it holds from the next request on.

    Raises NotFoundError where nothing in force is meant, ConflictError where the start fits several.
    """
    row = AccessTokenRow
    with store.write() as session:
        open_rows = session.scalars(select(row).where(row.revoked_at.is_(None), or_(row.name == ref, row.uid == ref)))
        found = [one for one in open_rows if _access_of(one).is_in_force]
        if not found and len(ref) >= _SHORTEST_START:
            by_start = session.scalars(select(row).where(row.uid.startswith(ref, autoescape=True)))
            found = [one for one in by_start if _access_of(one).is_in_force]
            if len(found) > 1:
                raise ConflictError(f"{ref!r} is the start of {len(found)} uids; give the whole of one")
        if not found:
            raise NotFoundError(f"nothing in force is called {ref!r}; `featlas tokens ls` lists names and uids")
        for one in found:
            one.revoked_at = utc_now()
        return [_access_of(one) for one in found]


def end_session(store: Store, access_id: int) -> None:
    """Log a browser out; one that is out already stays so."""
    row = AccessTokenRow
    ended = update(row).where(row.id == access_id, row.revoked_at.is_(None)).values(revoked_at=utc_now())
    with store.write() as session:
        session.execute(ended.execution_options(synchronize_session=False))


def _add(
    session: Session, name: str, kind: AccessKind, scope: AccessScope, lasts: dt.timedelta | None
) -> tuple[Access, str]:
    secret, now = PREFIX + secrets.token_urlsafe(32), utc_now()
    row = AccessTokenRow(
        uid=new_uid(),
        name=name,
        hash=_hash(secret),
        kind=kind,
        scope=scope,
        created_at=now,
        expires_at=None if lasts is None else now + lasts,
    )
    session.add(row)
    session.flush()
    return _access_of(row), secret


def _note_use(store: Store, access: Access) -> None:
    """Keep when it was used last, at most once a minute: else every request of a reader would be a write."""
    now, row = utc_now(), AccessTokenRow
    if access.used_at is not None and now - access.used_at < _USE_IS_NOTED_EVERY:
        return
    is_due = or_(row.used_at.is_(None), row.used_at <= now - _USE_IS_NOTED_EVERY)
    noted = update(row).where(row.id == access.id, is_due).values(used_at=now)
    with suppress(FeatlasError), store.write() as session:  # a database that is busy or full refuses nobody for this
        session.execute(noted.execution_options(synchronize_session=False))


def _forget_the_long_over(session: Session) -> None:
    """Addresses and sessions pile up, one for each start of a server; tokens, which a person made, stay listed."""
    row = AccessTokenRow
    is_over = row.expires_at < utc_now() - _KEPT_AFTER_ITS_END
    session.execute(
        delete(row)
        .where(row.kind.in_([AccessKind.LOGIN, AccessKind.SESSION]), is_over)
        .execution_options(synchronize_session=False)
    )


def _access_of(row: AccessTokenRow) -> Access:
    return Access(**{name: getattr(row, name) for name in Access.__dataclass_fields__})


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _checked_name(name: str) -> str:
    trimmed = name.strip()
    if not 1 <= len(trimmed) <= _MAX_NAME:
        raise InputError(f"the name {name!r} has {len(trimmed)} characters; expected 1 … {_MAX_NAME}")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in trimmed):
        raise InputError(f"the name {name!r} holds a control character; take it out")
    return trimmed
