"""How a server may be reached, as the entry point decides it: by which names, with or without a token, how much."""

from collections.abc import Collection
from dataclasses import dataclass

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Door:
    """The rules at the door; by default those of a server that only this machine reaches.

    `allowed_hosts` are the names under which it is asked; with `allows_addresses` any IP address too, as where it
    listens on all addresses of the machine.
    """

    allowed_hosts: Collection[str] = LOOPBACK_NAMES
    allows_addresses: bool = False
    requires_token: bool = False
    max_body_bytes: int = 4 * 2**20
    max_streams: int = 200
    max_streams_each: int = 50
