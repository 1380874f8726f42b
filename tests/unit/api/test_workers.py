"""Who works, as the API says it."""

import datetime as dt

from sqlalchemy import update
from tests.unit.api.conftest import Served

from featlas.store.lease_owner import Owner
from featlas.store.tables import WorkerRow, utc_now
from featlas.store.workers import see_worker


def test_nobody_works_where_nobody_was_seen(served: Served):
    assert served.get("workers").json() == {"items": [], "has_runner": False, "version": "9.9"}


def test_workers_are_listed_with_queues_and_version(served: Served):
    gone, here = Owner("gpu-1/pid:[1]", 7, 1_000_000.0), Owner("gpu-2/pid:[1]", 8, 2_000_000.0)
    see_worker(served.store, gone, ["light", "extraction"], "9.8")
    with served.store.write() as session:
        session.execute(update(WorkerRow).values(seen_at=utc_now() - dt.timedelta(seconds=100)))
    see_worker(served.store, here, ["labeling"], "9.9")
    newest, oldest = served.get("workers").json()["items"]
    assert (newest["host"], newest["pid"], newest["queues"], newest["is_alive"]) == ("gpu-2", 8, ["labeling"], True)
    assert (oldest["queues"], oldest["version"], oldest["is_alive"]) == (["extraction", "light"], "9.8", False)
    assert oldest["started_at"] == "1970-01-12T13:46:40Z"
