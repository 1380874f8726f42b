"""Tokens, one-time addresses and sessions in the store."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from featlas.domain import AccessKind, AccessScope
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store import access
from featlas.store.session import Store
from featlas.store.tables import AccessTokenRow, Row, utc_now


def set_all(store: Store, **values: object) -> None:
    with store.write() as session:
        session.execute(update(AccessTokenRow).values(**values))


def everything(store: Store) -> str:
    """All that the database holds of accesses, as text."""
    with store.read() as session:
        return repr([tuple(row) for row in session.execute(Row.metadata.tables["access_tokens"].select())])


def find_token(store: Store, secret: str) -> access.Access | None:
    return access.find_access(store, secret, AccessKind.TOKEN)


def test_a_token_is_found_by_its_secret_which_is_kept_nowhere(store: Store):
    made, secret = access.create_token(store, " ci ", scope=AccessScope.READ)
    found = find_token(store, secret)
    assert found is not None
    assert (found.name, found.scope, found.uid) == ("ci", AccessScope.READ, made.uid)
    assert secret.startswith("featlas_")
    assert len(secret) == len("featlas_") + 43
    assert secret.removeprefix("featlas_") not in everything(store)
    assert secret.removeprefix("featlas_") not in repr(access.list_access(store, ended=True))


def test_of_many_who_take_a_name_at_once_one_gets_it(store: Store):
    together = threading.Barrier(4)

    def create(round_: int) -> bool:
        together.wait()
        try:
            access.create_token(store, f"ci {round_}")
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for round_ in range(20):
            assert sum(pool.map(create, [round_] * 4)) == 1


@pytest.mark.parametrize("secret", ["", "featlas_", "featlas_" + "A" * 43, "\0", "\ud800"])
def test_what_nobody_was_given_finds_nothing(store: Store, secret: str):
    access.create_token(store, "ci")
    assert find_token(store, secret) is None


def test_a_secret_counts_only_as_what_it_was_given_for(store: Store):
    _, token = access.create_token(store, "ci")
    login = access.create_login(store)
    assert access.find_access(store, token, AccessKind.SESSION) is None
    assert find_token(store, login) is None
    assert access.exchange_login(store, token) is None


def test_a_revoked_token_ends_at_once_and_its_name_is_free(store: Store):
    made, secret = access.create_token(store, "ci")
    with pytest.raises(ConflictError, match="already"):
        access.create_token(store, "ci")
    assert [one.uid for one in access.revoke(store, "ci")] == [made.uid]
    assert find_token(store, secret) is None
    assert not access.is_in_force(store, made.id)
    with pytest.raises(NotFoundError):
        access.revoke(store, "ci")
    again, _ = access.create_token(store, "ci")
    assert access.list_access(store) == [again]
    assert len(access.list_access(store, ended=True)) == 2


def test_revoking_by_uid_or_its_start(store: Store):
    first, _ = access.create_token(store, "a%")
    second, _ = access.create_token(store, "b")
    with pytest.raises(ConflictError, match="start of 2"):
        access.revoke(store, first.uid[:8])
    for wrong in ("", "%", "________", "01", "0" * 36, "a"):
        with pytest.raises(NotFoundError):
            access.revoke(store, wrong)
    assert [one.name for one in access.revoke(store, first.uid)] == ["a%"]
    assert [one.name for one in access.revoke(store, second.uid[:8])] == ["b"]


def test_a_token_ends_with_its_last_day(store: Store):
    made, secret = access.create_token(store, "ci", days=3)
    assert made.expires_at is not None
    assert abs(made.expires_at - utc_now() - dt.timedelta(days=3)) < dt.timedelta(minutes=1)
    assert find_token(store, secret) is not None
    set_all(store, expires_at=utc_now() - dt.timedelta(seconds=1))
    assert find_token(store, secret) is None
    access.create_token(store, "ci")


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "a\nb"}, {"name": "x" * 201}, {"days": 0}, {"days": 10**6}])
def test_names_and_days_that_cannot_be(store: Store, wrong: dict[str, Any]):
    with pytest.raises(InputError):
        access.create_token(store, **{"name": "ci", **wrong})


def test_an_address_becomes_one_session_of_its_name_and_scope(store: Store):
    code = access.create_login(store, "Ada", scope=AccessScope.READ)
    taken = access.exchange_login(store, code)
    assert taken is not None
    session, secret = taken
    assert (session.name, session.scope, session.kind) == ("Ada", AccessScope.READ, AccessKind.SESSION)
    assert access.exchange_login(store, code) is None
    assert access.find_access(store, secret, AccessKind.SESSION) is not None
    access.end_session(store, session.id)
    assert access.find_access(store, secret, AccessKind.SESSION) is None
    assert secret.removeprefix("featlas_") not in everything(store)


def test_many_browsers_at_once_get_one_session_between_them(store: Store):
    code = access.create_login(store)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: access.exchange_login(store, code), range(8)))
    assert sum(one is not None for one in taken) == 1
    kinds = [one.kind for one in access.list_access(store)]
    assert kinds == [AccessKind.SESSION]


def test_an_address_ends_after_a_quarter_of_an_hour_or_when_it_is_revoked(store: Store):
    old, revoked = access.create_login(store, "old"), access.create_login(store, "revoked")
    access.revoke(store, "revoked")
    assert access.exchange_login(store, revoked) is None
    set_all(store, expires_at=utc_now() - dt.timedelta(seconds=1))
    assert access.exchange_login(store, old) is None


def test_use_is_noted_once_a_minute(store: Store):
    made, secret = access.create_token(store, "ci")

    def used_at() -> dt.datetime | None:
        return access.list_access(store)[0].used_at

    assert made.used_at is None
    find_token(store, secret)
    first = used_at()
    assert first is not None
    find_token(store, secret)
    assert used_at() == first
    set_all(store, used_at=first - dt.timedelta(seconds=61))
    find_token(store, secret)
    assert used_at() > first - dt.timedelta(seconds=1)


def test_sessions_that_are_long_over_are_forgotten_and_tokens_are_not(store: Store):
    access.exchange_login(store, access.create_login(store))
    access.create_token(store, "ci", days=1)
    set_all(store, expires_at=utc_now() - dt.timedelta(days=31))
    access.create_login(store, "new")
    assert [one.name for one in access.list_access(store, ended=True)] == ["new", "ci"]
