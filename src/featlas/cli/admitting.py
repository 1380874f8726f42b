"""Letting others into a server from its command line, and ending that; a secret is printed once, where it is made."""

import datetime as dt
import json
from urllib.parse import urlsplit

from rich.table import Table

from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.domain import AccessScope
from featlas.errors import InputError
from featlas.store.access import Access, create_login, create_token, list_access, revoke


def make_token(name: str, *, read_only: bool, days: int | None, as_json: bool) -> int:
    """Make a token and print it."""
    with opened() as here:
        made, secret = create_token(here.store, name, scope=_scope(read_only), days=days)
    if as_json:
        print(json.dumps({**_to_json(made), "token": secret}))
        return 0
    until = "until it is revoked" if made.expires_at is None else f"until {made.expires_at:%Y-%m-%d}"
    may = "may only read" if read_only else "may read and write"
    print(f"{made.name} {may}, {until}. This is shown once:\n\n  {secret}\n\nas in: Authorization: Bearer {secret}")
    return 0


def print_login(name: str, url: str, *, read_only: bool) -> int:
    """Print a one-time address of the server at `url`."""
    from featlas.entry.web import login_url

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise InputError(f"--url {url!r}: expected where browsers reach the server, as https://featlas.example.org/")
    with opened() as here:
        print(login_url(url, create_login(here.store, name, scope=_scope(read_only))))
    return 0


def print_access(*, ended: bool, as_json: bool) -> int:
    """List who may come in."""
    with opened() as here:
        found = list_access(here.store, ended=ended)
    if as_json:
        for access in found:
            print(json.dumps(_to_json(access)))
        return 0
    table = Table("name", "kind", "may", "uid", "made", "last used", "ends", box=None)
    for access in found:
        ends = "revoked" if access.revoked_at is not None else _at(access.expires_at, "never")
        used, made = _at(access.used_at, "never"), _at(access.created_at, "")
        table.add_row(access.name, access.kind, access.scope, access.uid, made, used, ends)
    result_console().print(table)
    return 0


def revoke_access(ref: str) -> int:
    """Revoke and say what was."""
    with opened() as here:
        for access in revoke(here.store, ref):
            print(f"revoked: {access.kind} {access.name} ({access.uid})")
    return 0


def _scope(read_only: bool) -> AccessScope:
    return AccessScope.READ if read_only else AccessScope.WRITE


def _at(instant: dt.datetime | None, never: str) -> str:
    return never if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"


def _to_json(access: Access) -> dict[str, object]:
    instants = {name: value and value.isoformat() for name, value in vars(access).items() if name.endswith("_at")}
    return {**vars(access), **instants, "is_in_force": access.is_in_force}
