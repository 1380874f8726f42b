"""The command that serves the page."""

import sys
import webbrowser
from collections.abc import Sequence

from featlas.entry.worker import load_settings
from featlas.errors import InputError

HOST, PORT = "127.0.0.1", 8765


def run_serve(
    host: str, port: int, *, root_path: str, allowed_hosts: Sequence[str], require_token: bool, open_browser: bool
) -> int:
    """Serve in the foreground until Ctrl-C."""
    from featlas.entry.web import serve

    serve(
        load_settings(),
        host,
        port,
        root_path=checked_root_path(root_path),
        allowed_hosts=allowed_hosts,
        require_token=require_token,
        on_ready=lambda url, login: _tell(url, login, open_browser),
    )
    return 0


def serve_links(links: Sequence[tuple[str, str]]) -> None:
    """Serve until Ctrl-C on the usual port, or any free one, and print what to look at: (what it is, path)."""
    from featlas.entry.web import is_free, serve

    settings = load_settings()
    serve(settings, HOST, PORT if is_free(HOST, PORT) else 0, on_ready=lambda url, _login: _tell_links(url, links))


def _tell_links(url: str, links: Sequence[tuple[str, str]]) -> None:
    sys.stderr.write("\n")
    for what, path in links:
        sys.stderr.write(f"{what}\n  {url}{path}\n")
    sys.stderr.write("Ctrl-C ends it; `featlas serve` brings it back.\n")
    sys.stderr.flush()


def checked_root_path(text: str) -> str:
    """`/featlas` for featlas, /featlas/ and so on; "" for /. Raises InputError for what is no path."""
    path = text.strip("/")
    if any(character in path for character in "?#\\ ") or ".." in path.split("/"):
        raise InputError(f"--root-path {text!r}: expected a path such as /featlas")
    return f"/{path}" if path else ""


def _tell(url: str, login: str | None, open_browser: bool) -> None:
    if login is not None:
        sys.stderr.write(f"Everybody needs a token. One browser gets in, within 15 minutes, by\n  {login}\n")
        sys.stderr.write("`featlas tokens login` prints another such address, `featlas tokens create` makes a token.\n")
    sys.stderr.write(f"Featlas is at {url}  (Ctrl-C ends it)\n")
    sys.stderr.flush()
    if open_browser:
        webbrowser.open(login or url)
