"""The `featlas tokens` commands as typed; what they do is in `admitting`."""

from typing import Annotated

from cyclopts import App, Parameter

from featlas.cli.arguments import Json, Whole

tokens = App(name="tokens", help="Who may use a server that asks for tokens: let in, list, revoke.")

ReadOnly = Annotated[bool, Parameter(help="Let them look at everything and change nothing.")]


@tokens.command(name="create")
def tokens_create(
    name: Annotated[str, Parameter(help="Whose or what it is for, as it is listed.")],
    /,
    *,
    read_only: ReadOnly = False,
    days: Annotated[Whole | None, Parameter(help="Days until it ends; without, it lasts until it is revoked.")] = None,
    as_json: Json = False,
) -> int:
    """Make a token for programs and print its secret, which is kept nowhere and cannot be shown again."""
    from featlas.cli.admitting import make_token

    return make_token(name, read_only=read_only, days=days, as_json=as_json)


@tokens.command(name="login")
def tokens_login(
    name: Annotated[str, Parameter(help="Whose browser it is for, as it is listed.")] = "browser",
    /,
    *,
    url: Annotated[str, Parameter(help="Where browsers reach the running server.")] = "http://127.0.0.1:8765/",
    read_only: ReadOnly = False,
) -> int:
    """Print an address that lets one browser in: once, within 15 minutes, for 30 days."""
    from featlas.cli.admitting import print_login

    return print_login(name, url, read_only=read_only)


@tokens.command(name="ls")
def tokens_ls(
    *,
    ended: Annotated[bool, Parameter(name="--all", help="Those that were revoked, used up or are over, too.")] = False,
    as_json: Json = False,
) -> int:
    """List who may come in: tokens, browsers, and addresses that nobody has used yet."""
    from featlas.cli.admitting import print_access

    return print_access(ended=ended, as_json=as_json)


@tokens.command(name="revoke")
def tokens_revoke(
    ref: Annotated[str, Parameter(help="Name, uid or start of the uid of a token or a browser.")], /
) -> int:
    """End a token, or the browsers of that name; it holds at once."""
    from featlas.cli.admitting import revoke_access

    return revoke_access(ref)
