"""The whole API, as it describes itself, asked by Schemathesis over a small labeled run; no answer may be a failure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from tests.builders.doors import make_app
from tests.builders.labelings import Labelings

from featlas.api.door import Door
from featlas.store.session import Store

HOME = "http://localhost"
CHECKS = {
    # What fits its description may still mean nothing: a query, a name, a mark of a page.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "422", "429"]},
    "negative_data_rejection": {"expected-statuses": ["4xx"]},
}
THERE = {"sae": 1, "run": 1, "feature_index": 3, "job": 1, "label": 1, "document": 0, "template": 1, "version_id": 1}
"""What the addresses may name and is there."""


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


def load(app: FastAPI, sent: dict[str, str]) -> Any:
    """The application's own description of itself."""
    config = SchemathesisConfig.from_dict({"checks": CHECKS})
    return schemathesis.openapi.from_asgi("/api/openapi.json", app, config=config, headers=sent)


def fuzz(app: FastAPI, n_examples: int, headers: Mapping[str, str]) -> Fuzzed:
    """Ask every operation so many times, with what fits its description and with what does not; check each answer."""
    sent = {**headers, "Host": "localhost"}
    schema = load(app, sent)
    found, failures = Fuzzed(), []
    for result in schema.get_all_operations():
        operation = result.ok()
        if "/stream" in operation.path:  # has no end; its own tests read it
            continue
        known = {one.name: THERE[one.name] for one in operation.path_parameters if one.name in THERE}
        ways = [{"generation_mode": mode} for mode in schemathesis.GenerationMode]
        ways += [
            {**way, "path_parameters": known} for way in ways if known
        ]  # else most end at a name that is not there
        for way in ways:
            failures += _ask(operation, way, n_examples, sent, found)
    assert not failures, "\n\n".join(failures)
    return found


def _ask(operation, way: dict, n_examples: int, sent: dict[str, str], found: Fuzzed) -> list[str]:
    @settings(max_examples=n_examples, deadline=None, derandomize=True, database=None,
              phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(**way))
    def ask(case) -> None:
        answer = case.call(base_url=HOME, headers=sent)
        found.n_asked[operation.label] += 1
        found.statuses[answer.status_code] += 1
        case.validate_response(answer, headers=sent)

    try:
        ask()
    except Unsatisfiable:
        pass  # nothing that could be sent contradicts the description
    except (FailureGroup, BaseExceptionGroup) as error:
        return [f"{operation.label} {way}: {type(error).__name__} {error}"]
    return []


def follow(app: FastAPI, n_walks: int, headers: Mapping[str, str]) -> None:
    """Walk from answer to request as the description lets one: what an answer names is asked for next."""
    sent = {**headers, "Host": "localhost"}
    schema = load(app, sent).exclude(path_regex="/stream$")

    class Walk(schema.as_state_machine()):
        def get_call_kwargs(self, case) -> dict[str, object]:
            return {"base_url": HOME, "headers": sent}

    Walk.run(settings=settings(
        max_examples=n_walks, deadline=None, derandomize=True, database=None, stateful_step_count=6,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    ))  # fmt: skip
