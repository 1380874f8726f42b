"""Files that are whole or absent, whatever becomes of the program that writes them or of the disk."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike, NDArray

from featlas.errors import ExternalError

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def disk_errors_named(path: Path) -> Iterator[None]:
    """Turn any OSError inside into an ExternalError that names the path and says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ExternalError(
            f"could not write {path}: {reason}; free disk space or make the folder writable (FEATLAS_HOME), then resume"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is absent, the old one or the whole new one; raises ExternalError where the disk refuses.

    The parent folder is made where it is missing. A failed write leaves nothing behind; a killed one leaves a hidden
    `.tmp` file that no reader looks at.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    with disk_errors_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


class ArrayWriter:
    """A .npy file of one axis that grows by appending, so that arrays larger than memory can be written.

    The file becomes a readable .npy on `close`, which also makes it durable.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.n = 0
        with disk_errors_named(path):
            self._file = path.open("xb")
            self._write_header()

    def append(self, values: NDArray) -> None:
        """Add values (cast to the array's type, safely by the caller's word) at the end."""
        content = np.ascontiguousarray(values, dtype=self.dtype)
        with disk_errors_named(self.path):
            self._file.write(content.reshape(-1).view(np.uint8).data)
        self.n += len(content)

    def close(self) -> None:
        """Write the length into the header and flush to the disk; closing twice is closing once."""
        if self._file.closed:
            return
        with disk_errors_named(self.path), self._file:
            self._file.seek(0)
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())

    def discard(self) -> None:
        """Close without finishing: for a plan that is given up."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write_header(self) -> None:
        # NumPy pads the header so that it keeps its length while the number of rows grows.
        header = {"descr": npy_format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.n,)}
        npy_format.write_array_header_1_0(self._file, header)
