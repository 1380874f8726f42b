"""A backup: the whole store in one new SQLite file, taken while others go on writing."""

import os
import secrets
from pathlib import Path
from urllib.parse import quote

from featlas.errors import ConflictError
from featlas.store.atomic_files import TEMPORARY_SUFFIX, disk_errors_named, sync_folder
from featlas.store.copying import Copy, copy_store

_LEFT_BESIDE = ("", "-wal", "-shm", "-journal")


def back_up(url: str, path: Path) -> Copy:
    """Write the store as it is now into a file that is whole once it has its name.

    Works from both databases, needs none of their tools, and is compared row by row. Raises ConflictError where the
    file is there already.
    """
    if path.exists():
        raise ConflictError(f"{path} exists already; name a new file, or move the old one away")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        made = copy_store(url, sqlite_url(temporary), while_working=True)
        with disk_errors_named(path):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.rename(temporary, path)
            sync_folder(path.parent)
    finally:
        for ending in _LEFT_BESIDE:
            temporary.with_name(temporary.name + ending).unlink(missing_ok=True)
    return Copy(made.source, str(path), made.tables)


def sqlite_url(path: Path) -> str:
    """The URL of a file, whose name may hold % and ?, which mean something in a URL."""
    return f"sqlite:///{quote(str(path))}"
