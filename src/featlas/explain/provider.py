"""Whom a labeling job asks, where, and with which key; a key is shown to nobody but its provider."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, cast, get_args
from urllib.parse import urlsplit

from featlas.errors import InputError

ProviderName = Literal["openai", "anthropic", "compatible"]

KEY_VARIABLES: Mapping[ProviderName, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "compatible": "FEATLAS_COMPATIBLE_API_KEY",
}
"""Where each provider's key is read from; the same names as the providers' own tools use."""

OFFICIAL_URLS: Mapping[ProviderName, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}

_ADDRESS = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w-]+(\.[\w-]+)*\.?)(:\d+)?(/[^\s?#@]*)?", re.ASCII)
_SHORTEST_PIECE = 8
_HIDDEN = "…"


class Secret:
    """A key. It has no text form: printing, formatting and pickling it show nothing, only `reveal` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Raises InputError, without the value, where it cannot be a key."""
        if not value:
            raise InputError("the key is empty")
        if not value.isascii() or not value.isprintable() or " " in value:
            raise InputError("a key is printable ASCII without spaces, and this one is not; copy it again")
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the request that it belongs to."""
        return self._value

    def hide_in(self, text: str) -> str:
        """The text without any piece of the key of eight or more characters; a shorter key goes as a whole."""
        n = min(_SHORTEST_PIECE, len(self._value))
        pieces = {self._value[at : at + n] for at in range(len(self._value) - n + 1)}
        shown: list[str] = []
        at, end_of_piece = 0, -1
        while at < len(text):
            if text[at : at + n] in pieces:
                if at > end_of_piece:
                    shown.append(_HIDDEN)
                end_of_piece = at + n
            elif at >= end_of_piece:
                shown.append(text[at])
            at += 1
        return "".join(shown)

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key is not written down")


@dataclass(frozen=True)
class Provider:
    """Who answers. `base_url` "" is the provider's own address; a compatible server has none and needs one.

    Raises InputError where the address is none, or the key is missing that a provider asks for.
    """

    name: ProviderName
    base_url: str
    key: Secret | None

    def __post_init__(self) -> None:
        setting = f"FEATLAS_{self.name.upper()}_BASE_URL"
        if not self.url:
            raise InputError(
                "a compatible server has no address of its own: "
                f"set {setting}, for example to http://localhost:11434/v1 for Ollama"
            )
        if not is_address(self.url):
            # Not quoted: what is wrong with it may be a password.
            raise InputError(
                f"{setting} is no address of a server: expected http:// or https://, a host and a path, "
                "without a user, a password, a query or a fragment"
            )
        if self.key is None and self.name != "compatible":
            raise InputError(f"{self.name} asks for a key: set {KEY_VARIABLES[self.name]} in the environment")

    @property
    def url(self) -> str:
        """The address in force."""
        return self.base_url or OFFICIAL_URLS.get(self.name, "")

    @property
    def host(self) -> str:
        """Host and port of the address, to name it in a message."""
        return urlsplit(self.url).netloc


def read_provider(name: str, base_url: str, environ: Mapping[str, str]) -> Provider:
    """A provider with its key from the environment.

    Raises InputError where there is no such provider, and what `Provider` and `Secret` raise.
    """
    if name not in KEY_VARIABLES:
        raise InputError(f"unknown provider {name!r}: expected one of {', '.join(get_args(ProviderName))}")
    known = cast(ProviderName, name)
    variable = KEY_VARIABLES[known]
    value = environ.get(variable, "").strip()
    try:
        key = Secret(value) if value else None
    except InputError as error:
        raise InputError(f"{variable}: {error}") from None
    return Provider(known, base_url.strip(), key)


def is_address(url: str) -> bool:
    """Whether it is an address of a server and nothing else: what is wrong with one may be a password in it."""
    if not _ADDRESS.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
