"""The whole API, as it describes itself, asked by Schemathesis over a small labeled run; no answer may be a failure."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema_rs import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, FailureGroup
from schemathesis.core.parameters import ParameterLocation
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
        _check(case, answer, sent)

    try:
        ask()
    except Unsatisfiable:
        pass  # nothing that could be sent contradicts the description
    except (FailureGroup, BaseExceptionGroup) as error:
        return [f"{operation.label} {way}: {type(error).__name__} {error}"]
    return []


def _check(case, answer, sent: dict[str, str]) -> None:
    """All checks; but what reaches the server as one of the requests that its description allows may be accepted."""
    try:
        case.validate_response(answer, headers=sent)
    except FailureGroup as error:
        if not (all(isinstance(one, AcceptedNegativeData) for one in error.exceptions) and fits_as_sent(case, answer)):
            raise


def fits_as_sent(case, answer) -> bool:
    """Whether a query fits its description as the address has it: `[0.0]` for a number arrives as the number 0.0."""
    if any(case.meta.is_negative_at(where) for where in ParameterLocation if where is not ParameterLocation.QUERY):
        return False
    return are_valid(answer.request.url, case.operation)


def are_valid(url: str, operation) -> bool:
    """Whether the query parameters of an address fit their descriptions, as text or read as JSON."""
    sent = parse_qs(urlsplit(url).query, keep_blank_values=True)
    known = {one.name: one for one in operation.query}
    is_whole = all(name in sent for name, one in known.items() if one.is_required)
    return is_whole and all(_fits(known[name], texts) for name, texts in sent.items() if name in known)


def _fits(parameter, texts: list[str]) -> bool:
    is_valid = Draft202012Validator(parameter.validation_schema).is_valid
    read = [_read(text) for text in texts]
    return (
        is_valid(texts)
        or is_valid(read)
        or all(is_valid(text) or is_valid(value) for text, value in zip(texts, read, strict=True))
    )


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


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
