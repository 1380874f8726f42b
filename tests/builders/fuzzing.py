"""The whole API, as it describes itself, asked by Schemathesis over a small labeled run; no answer may be a failure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import SchemathesisConfig
from tests.builders.doors import make_app
from tests.builders.labelings import Labelings

from featlas.api.door import Door
from featlas.store.session import Store

HOME = "http://localhost"


@dataclass
class Fuzzed:
    """What was asked and answered: by operation the number of requests, and every status there was."""

    n_asked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)


def make_fuzzed_app(store: Store, folder: Path, door: Door) -> FastAPI:
    """An application over a run with labels, a job that labeled, and templates; a path in a spec leads nowhere."""
    made = Labelings(store, folder)
    made.job()
    made.job()
    return make_app(store, folder, door, roots=())


def fuzz(app: FastAPI, n_examples: int, headers: Mapping[str, str], *, exclude: tuple[str, ...] = ()) -> Fuzzed:
    """Ask every operation so many times, with what fits its description and with what does not; check each answer."""
    config = SchemathesisConfig.from_dict({"checks": {name: {"enabled": False} for name in exclude}})
    schema = schemathesis.openapi.from_asgi(
        "/api/openapi.json", app, config=config, headers=dict(headers) | {"Host": "localhost"}
    )
    found = Fuzzed()
    failures = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if "/stream" in operation.path:  # has no end; its own tests read it
            continue
        for mode in schemathesis.GenerationMode:
            failures += _ask(operation, mode, n_examples, headers, found)
    assert not failures, "\n\n".join(failures)
    return found


def _ask(operation, mode, n_examples: int, headers: Mapping[str, str], found: Fuzzed) -> list[str]:
    failures: list[str] = []

    @settings(max_examples=n_examples, deadline=None, derandomize=True, database=None,
              phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case) -> None:
        sent = {**headers, "Host": "localhost"}
        answer = case.call(base_url=HOME, headers=sent)
        found.n_asked[operation.label] += 1
        found.statuses[answer.status_code] += 1
        case.validate_response(answer, headers=sent)

    try:
        ask()
    except schemathesis.errors.SchemathesisError as error:
        failures.append(f"{operation.label} {mode}: {error}")
    except BaseException as error:
        failures.append(f"{operation.label} {mode}: {type(error).__name__} {error}")
    return failures
