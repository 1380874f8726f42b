"""The whole API, asked at length: at least a hundred requests per operation of each way, and not one failure."""

import time
from pathlib import Path

from tests.builders.doors import CLOSED, bearer
from tests.builders.fuzzing import Fuzzed, follow, fuzz, make_fuzzed_app
from tools.record import save_record

from featlas.api.door import Door
from featlas.store import access
from featlas.store.session import Store

N_EXAMPLES, N_WALKS = 100, 200


def n_failures(found: Fuzzed) -> int:
    return sum(n for status, n in found.statuses.items() if status >= 500)


def test_every_operation_at_length(store: Store, dialect: str, tmp_path: Path):
    started = time.monotonic()
    app = make_fuzzed_app(store, tmp_path, Door())
    found = fuzz(app, N_EXAMPLES, {})
    follow(app, N_WALKS, {})
    assert n_failures(found) == 0
    figures = {"n_operations": len(found.n_asked), "n_requests": found.n_asked.total(), "n_failures": 0}
    save_record(f"api-fuzz-{dialect}", {**figures, "seconds": time.monotonic() - started})


def test_behind_a_door_at_length(store: Store, tmp_path: Path):
    _, secret = access.create_token(store, "fuzz")
    found = fuzz(make_fuzzed_app(store, tmp_path, CLOSED), N_EXAMPLES, bearer(secret))
    assert (n_failures(found), found.statuses[401]) == (0, 0)
