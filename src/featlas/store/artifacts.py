"""A run's artifact folder: what the pass over the text reads and leaves, as files that are whole or absent.

    FOLDER/plan/plan.json              what was planned: spec, seed, block_slots, fingerprints, versions …
    FOLDER/plan/NAME.npy               the plan's arrays (tokens, contexts, documents), read as memory maps
    FOLDER/plan/documents.jsonl        a line per document: document_index, source, external_id, metadata, split
    FOLDER/blocks/000017.safetensors   the events of one finished block: the feature matrix and the log of work done
    FOLDER/tables/NAME.safetensors     other tables that are too large for the database

The plan appears by one rename once it is complete; a block or table file likewise. Nothing here knows statistics.
"""

import contextlib
import fnmatch
import functools
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.errors import ConflictError, ExternalError, NotFoundError
from featlas.store import shared_artifacts
from featlas.store.atomic_files import TEMPORARY_SUFFIX, disk_errors_named, sync_folder, write_atomically
from featlas.store.tensor_files import TensorFile, open_tensors, save_tensors

logger = logging.getLogger(__name__)

DOCUMENTS_FILE = "documents.jsonl"
_RECORD_FILE = "plan.json"
_BLOCK_NAME = re.compile(r"^(\d{6,})\.safetensors$")
_QUALITY_PREFIX = "quality."
_BLOCK_DTYPES = {
    "indptr": np.uint32,
    "slot": np.uint16,
    "value": np.float32,
    "excluded_feature": np.uint32,
    "excluded_n": np.uint32,
    "excluded_max": np.float32,
    "cause": np.uint8,
}


def artifact_name(spec_hash: str, job_id: int | None) -> str:
    """Name of the folder that holds a run's tokens and blocks: the same for every attempt of one job.

    `*` for the hash gives the pattern of all folders of the job.
    """
    return f"job-{job_id or 0:06d}-{spec_hash[:12]}"


# The plan


def plan_path(folder: Path) -> Path:
    """Folder of the run's plan; it exists only once the plan is complete."""
    return folder / "plan"


def has_plan(folder: Path) -> bool:
    """Whether the run's plan is complete; one that another machine made is fetched."""
    return plan_path(folder).is_dir() or _take_plan(folder)


def _take_plan(folder: Path) -> bool:
    """Fetch a plan from the shared place, which gets its record last."""
    names = shared_artifacts.list_there(plan_path(folder))
    if _RECORD_FILE not in names:
        return False
    fetched = folder / f"plan.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    try:
        for name in names:
            shared_artifacts.take(plan_path(folder) / name, into=fetched / name)
        with contextlib.suppress(OSError):  # somebody else was faster
            fetched.rename(plan_path(folder))
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    return plan_path(folder).is_dir()


def begin_plan(folder: Path) -> Path:
    """An empty folder to write the plan's files into; what a killed attempt left there is removed.

    Raises ConflictError where the plan is already complete, ExternalError where the folder cannot be made.
    """
    if has_plan(folder):
        raise ConflictError(f"{plan_path(folder)} already holds a plan; load it, or plan into a new folder")
    partial = _partial_path(folder)
    with disk_errors_named(partial):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    return partial


def publish_plan(folder: Path, record: Mapping[str, Any]) -> None:
    """Complete the plan: write plan.json beside the arrays and make the whole appear at once."""
    partial = _partial_path(folder)
    text = json.dumps(dict(record), ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    write_atomically(partial / _RECORD_FILE, (text + "\n").encode())
    with disk_errors_named(plan_path(folder)):
        os.replace(partial, plan_path(folder))
        sync_folder(folder)
    made = sorted(plan_path(folder).iterdir(), key=lambda path: (path.name == _RECORD_FILE, path.name))
    for path in made:
        shared_artifacts.give(path)


def discard_plan(folder: Path) -> None:
    """Remove an unfinished plan, and the folder if nothing else is in it."""
    shutil.rmtree(_partial_path(folder), ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _partial_path(folder: Path) -> Path:
    return folder / "plan.partial"


def load_plan_record(folder: Path) -> dict[str, Any]:
    """plan.json; raises NotFoundError where there is no complete plan, ExternalError where it is damaged."""
    path = plan_path(folder) / _RECORD_FILE
    if not has_plan(folder):
        raise NotFoundError(f"no plan in {folder}; a run's artifact folder was expected")
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"no {_RECORD_FILE} in {folder}; a run's artifact folder was expected") from error
    except ValueError as error:
        raise ExternalError(f"{path} is damaged ({error}); run the extraction again") from error


def load_plan_arrays(folder: Path) -> dict[str, NDArray]:
    """Every array of the plan by name, as read-only memory maps; raises ExternalError where one is damaged."""
    arrays = {}
    for path in sorted(plan_path(folder).glob("*.npy")):
        try:
            arrays[path.stem] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ExternalError(f"{path} is damaged ({error}); run the extraction again") from error
    return arrays


def read_plan_documents(folder: Path) -> Iterator[dict[str, Any]]:
    """Iterate the documents in plan order: document_index, source, external_id, metadata, split."""
    with (plan_path(folder) / DOCUMENTS_FILE).open("rb") as lines:
        for line in lines:
            yield json.loads(line)


# Block files


@dataclass(frozen=True)
class BlockArrays:
    """What the pass leaves of one block: its events by feature, and what was not counted.

    Feature f has events `[indptr[f]:indptr[f + 1]]`, slots ascending, each an address within the block. Events at
    positions that are not counted are summed per feature: their number and their largest value. `cause` is
    `domain.Cause` per slot. `quality` holds further float64 arrays, passed through as they are.
    """

    indptr: NDArray[np.uint32]  # [n_features + 1]
    slot: NDArray[np.uint16]  # [nnz]
    value: NDArray[np.float32]  # [nnz]
    excluded_feature: NDArray[np.uint32]  # [n]
    excluded_n: NDArray[np.uint32]  # [n]
    excluded_max: NDArray[np.float32]  # [n]
    cause: NDArray[np.uint8]  # [block_slots]
    quality: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockExtras:
    """Everything of a block file but the events; fields as in BlockArrays."""

    excluded_feature: NDArray[np.uint32]
    excluded_n: NDArray[np.uint32]
    excluded_max: NDArray[np.float32]
    cause: NDArray[np.uint8]
    quality: dict[str, NDArray[np.float64]]


def block_path(folder: Path, index: int) -> Path:
    """Where the file of a block lies."""
    return folder / "blocks" / f"{index:06d}.safetensors"


def save_block(folder: Path, index: int, arrays: BlockArrays) -> None:
    """Write the file of a finished block atomically, in the place of an older one.

    Raises ValueError where the arrays do not fit each other, ExternalError where the disk refuses.
    """
    tensors = {name: _as_dtype(name, getattr(arrays, name), dtype) for name, dtype in _BLOCK_DTYPES.items()}
    n_events = int(tensors["indptr"][-1])
    if not n_events == len(tensors["slot"]) == len(tensors["value"]):
        raise ValueError(
            f"block {index}: indptr ends at {n_events}, {len(arrays.slot)} slots, {len(arrays.value)} values"
        )
    tensors |= {_QUALITY_PREFIX + name: np.asarray(array, dtype=np.float64) for name, array in arrays.quality.items()}
    save_tensors(block_path(folder, index), tensors, {"block": str(index)})
    shared_artifacts.give(block_path(folder, index))


def has_block(folder: Path, index: int) -> bool:
    """Whether a block's file is there; one that another machine made is fetched."""
    path = block_path(folder, index)
    return path.exists() or shared_artifacts.take(path)


def _as_dtype(name: str, array: NDArray, dtype: type) -> NDArray:
    """The array in its file type; raises ValueError where a number would change."""
    cast = np.asarray(array).astype(dtype)
    if cast.dtype.kind == "u" and not np.array_equal(cast, array):
        raise ValueError(f"{name} does not fit {cast.dtype}")
    return cast


def list_finished_blocks(folder: Path, *, verify: bool = True) -> list[int]:
    """Blocks whose file is whole, ascending; a damaged file is left out with a logged warning.

    What other machines made is fetched first.
    verify=False looks at sizes and headers only, which is enough to follow progress but not to resume from.
    """
    finished = []
    shared_artifacts.take_all(folder / "blocks")
    for path in sorted((folder / "blocks").glob("*.safetensors")):
        match = _BLOCK_NAME.match(path.name)
        if match is None:
            continue
        reason = _find_damage(path, int(match.group(1)), verify=verify)
        if reason:
            logger.warning("%s is damaged (%s); the block counts as unfinished and will be made again", path, reason)
        else:
            finished.append(int(match.group(1)))
    return sorted(finished)


def _find_damage(path: Path, index: int, *, verify: bool) -> str:
    """Why a block file cannot be used; empty where it can."""
    try:
        block = open_tensors(path)
        if block.metadata.get("block") != str(index) or not _BLOCK_DTYPES.keys() <= block.entries.keys():
            return f"it is not the file of block {index}"
        if verify and not block.is_intact():
            return "its checksum differs"
    except ValueError as error:
        return str(error)
    return ""


def read_block_slice(
    folder: Path, index: int, first_feature: int, n_features: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.float32]]:
    """The events of features first_feature … first_feature + n_features − 1: (indptr, slot, value).

    indptr starts at 0; slots are addresses within the block. Only this slice is read from the disk.
    """
    block = _open_block(folder, index)
    indptr = block.read("indptr", first_feature, n_features + 1).astype(np.int64)
    first, n = int(indptr[0]), int(indptr[-1] - indptr[0])
    return indptr - first, block.read("slot", first, n), block.read("value", first, n)


def read_block_indptr(folder: Path, index: int) -> NDArray[np.int64]:
    """Where each feature's events begin in a block file. Shape [n_features + 1]."""
    return _open_block(folder, index).read("indptr").astype(np.int64)


def load_block_extras(folder: Path, index: int) -> BlockExtras:
    """Excluded events, causes and quality figures of a block."""
    block = _open_block(folder, index)
    quality = {
        name.removeprefix(_QUALITY_PREFIX): block.read(name)
        for name in block.entries
        if name.startswith(_QUALITY_PREFIX)
    }
    names = ("excluded_feature", "excluded_n", "excluded_max", "cause")
    return BlockExtras(*(block.read(name) for name in names), quality=quality)


def _open_block(folder: Path, index: int) -> TensorFile:
    return _open_whole(block_path(folder, index), f"block {index} of {folder} is not finished; resume the run")


def _open_whole(path: Path, when_missing: str) -> TensorFile:
    try:
        if not path.exists():
            shared_artifacts.take(path)
        state = path.stat()
        return _open_unchanged(path, state.st_mtime_ns, state.st_ino)
    except FileNotFoundError as error:
        raise NotFoundError(when_missing) from error
    except ValueError as error:
        raise ExternalError(f"{path} is damaged ({error}); resume the run, which makes it again") from error


@functools.lru_cache(maxsize=4096)
def _open_unchanged(path: Path, _mtime_ns: int, _inode: int) -> TensorFile:
    """A file's header, read once: describing a run comes back to every block for every range of features."""
    return open_tensors(path)


# Other tables


def table_path(folder: Path, name: str) -> Path:
    """Where a table lies."""
    return folder / "tables" / f"{name}.safetensors"


def save_table(folder: Path, name: str, arrays: Mapping[str, NDArray]) -> None:
    """Write a table of named arrays atomically, in the place of an older one."""
    save_tensors(table_path(folder, name), arrays, {"table": name})
    shared_artifacts.give(table_path(folder, name))


def open_table(folder: Path, name: str) -> TensorFile:
    """A table whose arrays are read by name, whole or by rows; raises NotFoundError where there is none."""
    shared_artifacts.refresh(table_path(folder, name))  # a partial snapshot's are written anew
    return _open_whole(table_path(folder, name), f"no table {name} in {folder}")


def list_tables(folder: Path) -> list[str]:
    """Names of the tables there are, sorted; those of other machines are fetched."""
    shared_artifacts.take_all(folder / "tables")
    return sorted(path.stem for path in (folder / "tables").glob("[!.]*.safetensors"))


def list_artifacts(root: Path, name: str) -> list[Path]:
    """The artifact folders whose name fits a pattern, here or in the shared place."""
    there = fnmatch.filter(shared_artifacts.list_there(root), name)
    return sorted({*root.glob(name), *(root / found for found in there)})


def remove_artifacts(folder: Path) -> None:
    """Remove all files of a run, here and in the shared place."""
    shutil.rmtree(folder, ignore_errors=True)
    shared_artifacts.drop(folder)


def remove_leftovers(folder: Path, *, older_than_s: float = 600.0) -> int:
    """Remove temporary files of killed writers (younger ones may still be written to); returns how many."""
    n_removed = 0
    for path in folder.glob(f"*/.*{TEMPORARY_SUFFIX}"):
        if time.time() - path.stat().st_mtime > older_than_s:
            path.unlink(missing_ok=True)
            n_removed += 1
    return n_removed
