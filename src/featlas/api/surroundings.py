"""What a request needs of the process that serves it, handed in once by the entry point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request

from featlas.errors import NotFoundError
from featlas.specs import Spec
from featlas.store.column_cache import ColumnCache
from featlas.store.session import Store


def nobody_to_try(name: str, _model: str) -> NoReturn:
    """For surroundings that know no language model."""
    raise NotFoundError(f"this server knows no provider {name!r}")


@dataclass(frozen=True)
class Surroundings:
    """The store and where runs leave their files.

    `spec_classes` are the Specs of the kinds of jobs that can be asked for; `wake(job_id)` rings whoever works on
    them; `has_runner` says whether this process does. `list_providers()` and `try_provider(name, model)` tell of the
    language models that can be asked. `roots` are the folders in which the paths of a Spec must lie; None where whoever
    asks is this machine's own user, who may read what they may. `lease_s` says how long a worker may be silent; each
    of `checks` says what is wrong with something that requests need, and may hang.
    """

    store: Store
    artifacts_path: Path
    spec_classes: Mapping[str, type[Spec]]
    wake: Callable[[int], None]
    has_runner: bool
    version: str
    list_providers: Callable[[], Sequence[Any]] = list
    try_provider: Callable[[str, str], Any] = nobody_to_try
    roots: Sequence[Path] | None = None
    lease_s: float = 30.0
    checks: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    columns: ColumnCache = field(default_factory=ColumnCache)


async def surroundings_of(request: Request) -> Surroundings:
    """What the application was made with; not worth a thread, for which each request would wait once more."""
    return request.app.state.surroundings


Here = Annotated[Surroundings, Depends(surroundings_of)]
