"""Which use case does a job of which kind, and what it is given to do it with."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featlas.errors import InputError
from featlas.explain.provider import Provider
from featlas.pipeline.progress import Progress, Stop
from featlas.specs import CorrelateSpec, DirectionsSpec, ExtractSpec, LabelSpec, Spec
from featlas.store.lease_owner import Owner
from featlas.store.session import Store


def refuse_providers(name: str) -> Provider:
    """For surroundings without settings, in which nobody may be asked."""
    raise InputError(f"nobody said where to find the provider {name!r}, nor with which key")


@dataclass(frozen=True)
class Sharing:
    """How a job's worker shares its work with other workers: under which name, for how long, and how it calls them.

    `call_others(n)` tells up to `n` others that there is something to do; nobody may come.
    """

    owner: Owner
    lease_s: float
    call_others: Callable[[int], None]


@dataclass(frozen=True)
class JobContext:
    """What a use case needs of its surroundings.

    `guard(session)` is called in every transaction that publishes and raises ConflictError once the job was given to
    another worker. `device` is auto, cpu, cuda, cuda:N or mps; `threads` 0 means all physical cores. `job_id` is None
    where a use case is called from Python, without a job. `open_provider(name)` is where a language model is asked and
    with which key; it raises InputError where a key or an address is missing.
    """

    store: Store
    artifacts_path: Path
    cache_path: Path
    device: str
    threads: int
    job_id: int | None
    guard: Callable[[Any], None]
    progress: Progress
    stop: Stop
    open_provider: Callable[[str], Provider] = refuse_providers
    sharing: Sharing | None = None


UseCase = Callable[[Any, JobContext], dict[str, Any]]
"""(spec, context) → the result that the job row keeps, ready for JSON."""


@dataclass(frozen=True)
class Kind:
    """A kind of job: the class of its spec, and the use case as `module:function`, imported when it is first needed.

    `help_case` is what other workers do for a job of this kind that runs elsewhere; empty where they cannot help.
    """

    spec_class: type[Spec]
    use_case: str
    help_case: str = ""

    def load(self) -> UseCase:
        """The use case itself."""
        return _load(self.use_case)

    def load_help(self) -> Callable[[Any, JobContext], int]:
        """What helpers do."""
        return _load(self.help_case)


def _load(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(module), function)


KINDS: Mapping[str, Kind] = {
    "extraction": Kind(
        ExtractSpec, "featlas.pipeline.extract:run_extraction", "featlas.pipeline.extract_help:help_extraction"
    ),
    "labeling": Kind(LabelSpec, "featlas.pipeline.label:run_labeling"),
    "correlation": Kind(CorrelateSpec, "featlas.pipeline.correlate:run_correlation"),
    "directions": Kind(DirectionsSpec, "featlas.pipeline.directions:run_directions"),
}


def find_kind(kinds: Mapping[str, Kind], name: str) -> Kind:
    """The kind of this name; raises InputError where this version knows none."""
    if name not in kinds:
        raise InputError(f"this version of Featlas knows no jobs of kind {name!r}; expected one of {', '.join(kinds)}")
    return kinds[name]


def kind_of(kinds: Mapping[str, Kind], spec: Spec) -> str:
    """The name of the kind that a spec asks for; raises InputError where there is none."""
    for name, kind in kinds.items():
        if type(spec) is kind.spec_class:
            return name
    raise InputError(f"{type(spec).__name__} is not the spec of a job")
