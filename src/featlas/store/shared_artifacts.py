"""Passes the files of runs between machines that share no folder, by way of a place that fsspec reaches, as a bucket.

Each machine works in its own folder of artifacts. What is finished there is given to the shared place, and what another
machine finished is taken from it when it is first asked for. A file is whole or absent in both. Where no place is set,
nothing here does anything: the folder is this machine's alone, or all machines have mounted it.
"""

import contextlib
import functools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featlas.errors import ExternalError, FeatlasError, InputError
from featlas.store.atomic_files import TEMPORARY_SUFFIX, disk_errors_named


@dataclass(frozen=True)
class _Place:
    """The folder `root` of this machine and where its files go."""

    root: Path
    url: str

    def there(self, path: Path) -> str:
        """What a file or folder is called in the shared place."""
        return "/".join((_connect(self.url)[1], *path.absolute().relative_to(self.root).parts))

    @property
    def files(self) -> Any:
        """The file system of the shared place."""
        return _connect(self.url)[0]


_places: dict[Path, _Place] = {}
"""By the folder whose files are passed on."""


def share_artifacts(root: Path, url: str) -> None:
    """From now on in this process pass the files below `root` by way of `url`; an empty one passes nothing.

    Set once per process, as logging is: which functions write a run's files does not depend on who reads them.
    """
    if url:
        _places[root.absolute()] = _Place(root.absolute(), url)
    else:
        _places.pop(root.absolute(), None)


def _place_of(path: Path) -> _Place | None:
    """Where this file or folder is passed on, if it is; a plan for training, for example, lies elsewhere."""
    whole = path.absolute()
    return next((place for root, place in _places.items() if whole.is_relative_to(root)), None)


def require_shared_place(root: Path) -> None:
    """Write a small file to the place that passes on the files below `root`, if there is one, and remove it.

    Raises InputError where the URL is of a kind that is not known or not installed, ExternalError where it refuses.
    """
    place = _place_of(root)
    if place is None:
        return
    name = place.there(root / f".ready-{secrets.token_hex(4)}")
    with _failures_named("written"):
        place.files.makedirs(name.rpartition("/")[0], exist_ok=True)
        place.files.pipe_file(name, b"ready")
        place.files.rm_file(name)


def give(path: Path) -> None:
    """Put a finished file into the shared place, over an older one; it appears there whole."""
    place = _place_of(path)
    if place is None:
        return
    name = place.there(path)
    temporary = f"{name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    with _failures_named("written"):
        place.files.makedirs(name.rpartition("/")[0], exist_ok=True)
        place.files.put_file(str(path), temporary)
        place.files.mv(temporary, name)
    _version_path(path).unlink(missing_ok=True)


def take(path: Path, *, into: Path | None = None) -> bool:
    """Fetch a file from the shared place to its own path or another; False where it is not there."""
    place = _place_of(path)
    if place is None:
        return False
    target = into or path
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    with disk_errors_named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _failures_named("read", may_be_absent=True):
            place.files.get_file(place.there(path), str(partial))
        with disk_errors_named(target):
            partial.replace(target)
    except FileNotFoundError:
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def refresh(path: Path) -> None:
    """Fetch a file that is written more than once, where the shared place has another version of it than was fetched.

    A version that was made here counts as another one too: a machine that went on with the job may have written since.
    """
    place = _place_of(path)
    if place is None:
        return
    try:
        with _failures_named("read", may_be_absent=True):
            place.files.invalidate_cache()
            version = place.files.ukey(place.there(path))
    except FileNotFoundError:
        return
    known = _version_path(path)
    if not (path.exists() and known.exists() and known.read_text() == version) and take(path):
        known.write_text(version)


def _version_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.version")


def take_all(folder: Path) -> None:
    """Fetch every file of a folder that the shared place has and this machine has not."""
    for name in list_there(folder):
        if not (folder / name).exists():
            take(folder / name)


def list_there(folder: Path) -> list[str]:
    """The finished files and folders in a folder of the shared place, by name, sorted; none where there is no place."""
    place = _place_of(folder)
    if place is None:
        return []
    where = place.there(folder)
    try:
        with _failures_named("read", may_be_absent=True):
            place.files.invalidate_cache()
            found = place.files.ls(where, detail=False)
    except FileNotFoundError:
        return []
    names = (path.rstrip("/").rpartition("/")[2] for path in found)
    return sorted(name for name in names if not name.startswith(".") and not name.endswith(TEMPORARY_SUFFIX))


def drop(folder: Path) -> None:
    """Remove a folder with all that is in it from the shared place."""
    place = _place_of(folder)
    if place is None:
        return
    with contextlib.suppress(FileNotFoundError), _failures_named("written", may_be_absent=True):
        place.files.invalidate_cache()
        place.files.rm(place.there(folder), recursive=True)


@functools.lru_cache(maxsize=4)
def _connect(url: str) -> tuple[Any, str]:
    """The file system and the path in it of a URL; raises InputError for one of a kind that cannot be used."""
    from fsspec.core import url_to_fs

    try:
        files, path = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise InputError(
            f"FEATLAS_ARTIFACTS_URL cannot be used: {error}; expected an address for fsspec, as s3://bucket/featlas"
            " with the package s3fs installed"
        ) from error
    return files, path.rstrip("/")


@contextlib.contextmanager
def _failures_named(what: str, *, may_be_absent: bool = False) -> Iterator[None]:
    """Turn whatever the place refuses into an ExternalError; where a file may be absent, that is passed on as it is."""
    try:
        yield
    except FeatlasError:
        raise
    except Exception as error:  # each kind of place raises errors of a library of its own
        if may_be_absent and isinstance(error, FileNotFoundError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExternalError(
            f"the shared place of artifacts (FEATLAS_ARTIFACTS_URL) cannot be {what}: {reason}; see that it answers"
            " and that this machine may write there, then resume",
            retryable=True,
        ) from error
