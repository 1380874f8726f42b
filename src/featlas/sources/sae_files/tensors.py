"""Reads safetensors and JSON files of SAEs with errors that name the file and the cure."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from featlas.errors import InputError


def load_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise InputError(f"{path} is missing; the SAE's folder is incomplete: copy the whole folder") from cause
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise InputError(f"{path} is not valid JSON: {cause}; get the file again") from cause
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__}, expected a JSON object")
    return content


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, as float32."""
    try:
        tensors = load_file(path)
    except FileNotFoundError as cause:
        raise InputError(f"{path} is missing; the SAE's folder is incomplete: copy the whole folder") from cause
    except SafetensorError as cause:
        raise InputError(
            f"{path} is not a whole safetensors file ({cause}); it is truncated or damaged: get it again"
        ) from cause
    return {name: tensor.to(torch.float32) for name, tensor in tensors.items()}


def take(tensors: dict[str, Tensor], name: str, path: Path) -> Tensor:
    """A tensor that must be there."""
    if name not in tensors:
        raise InputError(f"{path} has no tensor {name!r}; it holds {', '.join(sorted(tensors)) or 'nothing'}")
    return tensors[name]
