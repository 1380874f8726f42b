"""What every format's reader hands over: the canonical SAE and what its files say about how to use it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from featlas.engine.sae import SaeParams


@dataclass(frozen=True)
class SaeFile:
    """An SAE from disk.

    Attributes:
        params: the SAE in canonical form.
        name: what people call it.
        format: the format it was read from.
        architecture: as the files name it.
        hook_point: where it reads the model, in the files' spelling; empty where they don't say.
        prepend_bos: whether it was trained with a BOS token in front of each context.
        config: the files' own configuration, for the record.
        claims: figures that the files claim of the SAE (such as `l0`), to set beside the measured ones.
        mean_centred: whether it reads activations less their mean over d_model.
    """

    params: SaeParams
    name: str
    format: str
    architecture: str
    hook_point: str
    prepend_bos: bool
    config: dict[str, Any]
    claims: dict[str, float] = field(default_factory=dict)
    mean_centred: bool = False


class SaeFormat(Protocol):
    """One file format: how to recognise it and how to read it."""

    name: str
    expects: str

    def fits(self, folder: Path) -> bool:
        """Whether the folder looks like this format, complete or not."""
        ...

    def load(self, folder: Path) -> SaeFile:
        """Read it; InputError names the file and what is wrong with it."""
        ...
