"""What a correlation job needs around it, in a test's own process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from featlas.pipeline.progress import NeverStop, NoProgress, Progress, Stop
from featlas.pipeline.registry import JobContext
from featlas.store.session import Store


def correlation_context(
    store: Store,
    artifacts_path: Path,
    job_id: int | None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    guard: Callable[[Any], None] = lambda _session: None,
) -> JobContext:
    return JobContext(
        store=store,
        artifacts_path=artifacts_path,
        cache_path=artifacts_path / "cache",
        device="cpu",
        threads=1,
        job_id=job_id,
        guard=guard,
        progress=progress or NoProgress(),
        stop=stop or NeverStop(),
    )
