"""Public identities: UUIDs of version 7, which sort by the time of their birth (RFC 9562)."""

import secrets
import time
import uuid


def new_uid() -> str:
    """48 bits of Unix milliseconds and 74 random bits, as 36 characters."""
    milliseconds = time.time_ns() // 1_000_000
    chance = secrets.randbits(74)
    number = (milliseconds << 80) | (0x7 << 76) | ((chance >> 62) << 64) | (0b10 << 62) | (chance & (2**62 - 1))
    return str(uuid.UUID(int=number))
