"""Keeps the paths in a Spec that came over the network inside the folders that its readers may name.

Whoever may start a job can have any file read that the server's account can read. So where others than the machine's
own user come in, a path must lie in one of the roots, links followed. Whether a file exists elsewhere is not told.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from featlas.errors import InputError
from featlas.specs import ModelSpec, SaeSpec, Spec, TextSpec

_HUB_SET = "hf:"
_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]{0,99}/)?[A-Za-z0-9][\w.-]{0,99}", re.ASCII)


def require_inside(spec: Spec, roots: Sequence[Path]) -> None:
    """Raise InputError for a local path outside of the roots; names of the hub are let through."""
    for field, place in _places_of(spec):
        if not _is_of_the_hub(field, place) and not _is_inside(Path(place.removeprefix(_HUB_SET)), roots):
            raise InputError(
                f"{field} {place!r} is not in a folder that may be read over the network; whoever runs the server"
                " names those in FEATLAS_ROOTS"
            )


def _places_of(spec: Spec) -> Iterator[tuple[str, str]]:
    if isinstance(spec, ModelSpec):
        yield "model", spec.model
    if isinstance(spec, SaeSpec):
        yield "sae", spec.sae
    if isinstance(spec, TextSpec):
        yield from (("text", place) for place in spec.text)


def _is_of_the_hub(field: str, place: str) -> bool:
    """A name of the hub, unless a folder of that name lies where the server runs: that one would be read instead."""
    if field == "text":
        if not place.startswith(_HUB_SET):
            return False
        place = re.split("[:@]", place.removeprefix(_HUB_SET))[0]
        if "/" not in place:  # `text` and `json` are readers of the library, which would read what lies around here
            return False
    elif field == "sae":
        return False
    return _HUB_NAME.fullmatch(place) is not None and not Path(place).exists()


def _is_inside(path: Path, roots: Sequence[Path]) -> bool:
    try:
        resolved = path.expanduser().resolve()
        return any(resolved.is_relative_to(root.resolve()) for root in roots)
    except (OSError, RuntimeError, ValueError):  # too long, a circle of links, nobody's home, NUL
        return False
