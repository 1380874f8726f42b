"""Feeds a trainer with activations: from the model as it reads, or from a folder that an earlier reading filled."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featlas.domain import Cause, HookPoint
from featlas.engine.language_model import LanguageModel
from featlas.engine.sinks import ordinary_rows
from featlas.errors import ConflictError, InputError
from featlas.pipeline.block_pass import lay_out_batch
from featlas.pipeline.plan import Plan
from featlas.store.atomic_files import disk_errors_named, write_atomically

MANIFEST = "manifest.json"
ROWS_PER_PART = 65_536


@dataclass(frozen=True)
class Reader:
    """Reads the counted, ordinary positions of chosen contexts at one hook point."""

    plan: Plan
    model: LanguageModel
    hook_point: HookPoint
    sink_limit: float | None

    def read(self, is_wanted: NDArray[np.bool_]) -> Iterator[tuple[Tensor, int]]:
        """By batch: activations [n, d_in] on the CPU and how many sinks were left out. is_wanted: [n_contexts]."""
        corpus = self.plan.corpus()
        for block in range(self.plan.n_blocks):
            for batch in self.plan.batches(block):
                contexts = batch[is_wanted[batch]]
                if len(contexts) == 0:
                    continue
                rows = lay_out_batch(corpus, contexts, block_start=0)
                acts = self.model.activations(rows.token_ids, [self.hook_point])[self.hook_point]
                is_counted = torch.from_numpy(np.asarray(corpus.cause[rows.slot]) == Cause.COUNTED)
                counted = acts[rows.mask.to(acts.device)][is_counted.to(acts.device)]
                ordinary = counted[ordinary_rows(counted, self.sink_limit)].cpu()
                yield ordinary, len(counted) - len(ordinary)


def stream_forever(reader: Reader, is_wanted: NDArray[np.bool_], on_tokens: Callable[[int], None]) -> Iterator[Tensor]:
    """Activations of the wanted contexts, from the beginning again when they end."""
    while True:
        n_read = 0
        for acts, _ in reader.read(is_wanted):
            n_read += len(acts)
            on_tokens(len(acts))
            yield acts
        if n_read == 0:
            return


def stream_kept(folder: Path, n_parts: int, seed: int) -> Iterator[Tensor]:
    """Kept activations, part by part, in another order of parts each time round."""
    generator = np.random.default_rng(seed)
    while n_parts:
        for part in generator.permutation(n_parts):
            yield torch.from_numpy(np.load(_part_path(folder, part))).to(torch.float32)


def _part_path(folder: Path, part: int) -> Path:
    return folder / f"{part:05d}.npy"


def load_manifest(folder: Path, expected: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a complete folder, None where there is none; ConflictError where it is of other activations."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    manifest = json.loads(path.read_text())
    differing = {name for name, value in expected.items() if manifest.get(name) != value}
    if differing:
        name = sorted(differing)[0]
        raise ConflictError(
            f"{folder} keeps other activations: {name} is {manifest.get(name)!r} there and {expected[name]!r} here; "
            "choose another --activations folder"
        )
    return manifest


def keep_activations(
    reader: Reader, is_wanted: NDArray[np.bool_], folder: Path, facts: dict[str, Any], on_tokens: Callable[[int], None]
) -> dict[str, Any]:
    """Read all wanted contexts once into float16 parts of the folder; the manifest comes last: a half is never used."""
    held: list[Tensor] = []
    n_held, n_parts, n_tokens = 0, 0, 0

    def save() -> None:
        nonlocal held, n_held, n_parts
        part = torch.cat(held).to(torch.float16)
        if not bool(torch.isfinite(part).all()):
            raise InputError("some activations are too large to be kept as float16; train without --activations")
        with disk_errors_named(folder):
            np.save(_part_path(folder, n_parts), part.numpy())
        held, n_held, n_parts = [], 0, n_parts + 1

    with disk_errors_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for acts, _ in reader.read(is_wanted):
        held.append(acts)
        n_held += len(acts)
        n_tokens += len(acts)
        on_tokens(len(acts))
        if n_held >= ROWS_PER_PART:
            save()
    if held:
        save()
    manifest = {**facts, "n_tokens": n_tokens, "n_parts": n_parts}
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest
