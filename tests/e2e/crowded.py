"""A server that is busy: it works on one extraction after another while people look at what is there."""

import json
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.command import Featlas
from tests.e2e.conftest import PlantedRun
from tests.e2e.serving import serving

PATIENCE_S = 120
N_DOCUMENTS = 4000


@dataclass(frozen=True)
class Busy:
    """Where the server is and its process, and the jobs that it has to do, the first of which is running."""

    url: str
    pid: int
    jobs: list[int]

    def ask(self, path: str, body: Any = None) -> Any:
        return ask(f"{self.url}api/v1/{path}", body)

    def states(self) -> list[str]:
        return [self.ask(f"jobs/{job}")["state"] for job in self.jobs]


def copy_home(of: Featlas, home: Path) -> Featlas:
    """A home of one's own with all that the other holds; nobody may be writing there."""
    shutil.copytree(of.home, home)
    return Featlas(home)


@contextmanager
def busy_server(
    featlas: Featlas, planted: PlantedRun, folder: Path, n_jobs: int, n_documents: int = N_DOCUMENTS
) -> Iterator[Busy]:
    """Serve that home with `n_jobs` extractions to do, which differ in their order; what is left is cancelled."""
    text = save_documents(folder / "long.jsonl", made_documents(n_documents))
    spec = {
        "model": str(planted.planted.model),
        "sae": str(planted.planted.sae),
        "text": [str(text)],
        "ctx_len": 32,
        "null_features": 16,
    }
    with serving(featlas) as server:
        url = f"{server.url}api/v1/jobs"
        jobs = [ask(url, {"kind": "extraction", "spec": {**spec, "seed": seed}})["id"] for seed in range(1, n_jobs + 1)]
        busy = Busy(server.url, server.process.pid, jobs)
        deadline = time.monotonic() + PATIENCE_S
        while busy.states()[0] == "queued":
            assert time.monotonic() < deadline, "the extraction does not begin"
            time.sleep(0.2)
        yield busy
        for job, state in zip(jobs, busy.states(), strict=True):
            if state in ("queued", "running"):
                ask(f"{url}/{job}/cancel", {})
    # FastAPI's stream complains where a watcher leaves while something is on its way to him; nothing else may be said.
    raised = set(re.findall(r"^[\s|]*((?:\w+\.)*\w+(?:Error|Exception))\b", "".join(server.lines), re.MULTILINE))
    assert raised <= {"anyio.BrokenResourceError"}, "".join(server.lines)[-3000:]


def ask(url: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=content, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)
