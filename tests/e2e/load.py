"""Many readers and watchers at a server that works on a job meanwhile; and what somebody else then waits for an answer.

The crowd is a process of its own (`python -m tests.e2e.load PLAN`), so that what it costs to ask is not counted as what
it takes to be answered. Each reader looks at an answer for about `pause_s` before asking again. Without a pause the
server always has as many questions before it as there are readers, and what one waits is their number divided by what
it answers a second.
"""

import asyncio
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 60
GAP_S = 0.02
QUERIES = ("", "-is:dead", "is:labeled", "density:1e-6..1e-2", "max_activation:>5 -is:dense", "e")


@dataclass(frozen=True)
class Plan:
    """Who comes: `sae` is looked at by readers, `document_sae` has documents; `job_id` is watched."""

    url: str
    sae: str
    n_features: int
    document_sae: str
    n_documents: int
    job_id: int
    n_readers: int
    n_watchers: int
    seconds: float
    pause_s: float


@dataclass
class Crowd:
    """What the crowd met: seconds by kind of request, messages by watcher, and everything that went wrong."""

    took: dict[str, list[float]] = field(default_factory=dict)
    n_heard: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The crowd, and the seconds that each of somebody else's requests took, by path."""

    crowd: Crowd
    waits: dict[str, list[float]]

    def figures(self) -> dict[str, float]:
        """p50, p95 and the longest of what somebody else waits, and how much was answered."""
        found: dict[str, float] = {}
        for name, waits in self.waits.items():
            p50, p95, most = np.percentile(waits, [50, 95, 100])
            found |= {f"{name}_p50_ms": p50 * 1000, f"{name}_p95_ms": p95 * 1000, f"{name}_max_ms": most * 1000}
        everybodys = [took for several in self.crowd.took.values() for took in several]
        found["n_answers"] = len(everybodys)
        found["reader_p95_ms"] = float(np.percentile(everybodys, 95)) * 1000
        found["n_messages"] = sum(self.crowd.n_heard)
        for kind, took in sorted(self.crowd.took.items()):
            found[f"reader_{kind}_p95_ms"] = float(np.percentile(took, 95)) * 1000
        return {name: round(float(value), 1) for name, value in found.items()}


def require_orderly(outcome: Outcome, plan: Plan, states: list[str]) -> None:
    """Nobody met an error, every watcher heard something, and the server had work to do all the time."""
    assert outcome.crowd.errors == [], "\n".join(outcome.crowd.errors[:5])
    assert len(outcome.crowd.n_heard) == plan.n_watchers
    assert min(outcome.crowd.n_heard) > 0
    assert {"running", "queued"} & set(states), "the work was over before the crowd had gone"
    assert "failed" not in states


def run_load(plan: Plan) -> Outcome:
    """Let the crowd in, and ask like somebody who does not belong to it for as long as it stays."""
    command = [sys.executable, "-m", "tests.e2e.load", json.dumps(asdict(plan))]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "all are there\n", "the crowd did not come"
        waits = ask_alone(plan, time.monotonic() + plan.seconds)
        printed, _ = process.communicate(timeout=plan.seconds + 2 * PATIENCE_S)
    assert process.returncode == 0, printed
    return Outcome(Crowd(**json.loads(printed)), waits)


def ask_alone(plan: Plan, end: float) -> dict[str, list[float]]:
    """Ask for the server's health and for one feature in turn until then; raises for what is no success."""
    at = urlsplit(plan.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=PATIENCE_S)
    paths = {"health": "/api/v1/health", "feature": f"/api/v1/saes/{plan.sae}/features/7"}
    waits: dict[str, list[float]] = {name: [] for name in paths}
    while time.monotonic() < end:
        for name, path in paths.items():
            waits[name].append(_ask(connection, path, {}, (200,))[0])
            time.sleep(GAP_S)
    connection.close()
    return waits


def make_requests(plan: Plan, reader: int) -> Iterator[tuple[str, str]]:
    """(kind, path) without end: every kind in turn, each reader from another one on."""
    chance = np.random.default_rng(reader)
    of_sae, of_documents = f"/api/v1/saes/{plan.sae}", f"/api/v1/saes/{plan.document_sae}"
    for turn in itertools.count(reader):
        query = quote(QUERIES[turn // 6 % len(QUERIES)])
        feature = int(chance.integers(plan.n_features))
        yield (
            ("page", f"{of_sae}/features?q={query}&limit=50"),
            ("feature", f"{of_sae}/features/{feature}"),
            ("facets", f"{of_sae}/facets?q={query}"),
            ("matches", f"{of_sae}/matches?q={query}&sort=-max_activation"),
            ("columns", f"{of_sae}/columns?names=activation_frequency,max_activation"),
            ("document", f"{of_documents}/documents/{int(chance.integers(plan.n_documents))}?feature=7"),
        )[turn % 6]


def _ask(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str], fine: tuple[int, ...]
) -> tuple[float, str]:
    """Seconds until the whole answer was there, and its ETag."""
    began = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    took = time.perf_counter() - began
    if answer.status not in fine:
        raise RuntimeError(f"{path}: {answer.status} {content[:300]!r}")
    return took, answer.headers.get("ETag", "")


def _read(plan: Plan, reader: int, crowd: Crowd, end: float) -> None:
    at = urlsplit(plan.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=PATIENCE_S)
    tag, chance = "", np.random.default_rng(reader)
    time.sleep(chance.uniform(0, plan.pause_s))  # nobody comes at the same instant
    for kind, path in make_requests(plan, reader):
        if time.monotonic() > end:
            break
        headers = {"Accept-Encoding": "gzip"} | ({"If-None-Match": tag} if kind == "columns" and tag else {})
        try:
            took, found = _ask(connection, path, headers, (200, 304))
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            crowd.errors.append(f"reader {reader}: {path}: {error!r}")
            return
        tag = found or tag
        crowd.took.setdefault(kind, []).append(took)
        time.sleep(chance.uniform(0.5, 1.5) * plan.pause_s)
    connection.close()


async def _watch(plan: Plan, watcher: int, crowd: Crowd, end: float) -> None:
    """Listen to all jobs or to the one, in turn; an end before time is an error."""
    at = urlsplit(plan.url)
    path = "/api/v1/jobs/stream" if watcher % 2 else f"/api/v1/jobs/{plan.job_id}/stream"
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {at.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode())
    n_heard = 0
    try:
        status = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        if b" 200 " not in status:
            crowd.errors.append(f"watcher {watcher}: {status!r}")
        while (left := end - time.monotonic()) > 0:
            line = await asyncio.wait_for(reader.readline(), left)
            if not line:
                crowd.errors.append(f"watcher {watcher}: the stream ended")
                break
            n_heard += line.startswith(b"event: ")
    except TimeoutError:
        pass  # the time is over
    except OSError as error:
        crowd.errors.append(f"watcher {watcher}: {error!r}")
    crowd.n_heard.append(n_heard)
    writer.close()


async def _watch_all(plan: Plan, crowd: Crowd, end: float) -> None:
    await asyncio.gather(*(_watch(plan, watcher, crowd, end) for watcher in range(plan.n_watchers)))


def main() -> None:
    """Be the crowd."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    plan, crowd = Plan(**settings), Crowd()
    end = time.monotonic() + plan.seconds
    readers = [threading.Thread(target=_read, args=(plan, at, crowd, end)) for at in range(plan.n_readers)]
    watchers = threading.Thread(target=lambda: asyncio.run(_watch_all(plan, crowd, end)))
    for thread in (*readers, watchers):
        thread.start()
    print("all are there", flush=True)
    for thread in (*readers, watchers):
        thread.join()
    print(json.dumps(asdict(crowd)))


if __name__ == "__main__":
    main()
