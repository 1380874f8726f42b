"""A database that is away, full of guests or slow: said in our words, and over when it is over."""

import threading
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from tests.servers import PrivatePostgres, private_postgres

from featlas.errors import ExternalError, InputError
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.job_views import fetch_job
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.tables import JobRow
from featlas.store.upgrade import upgrade


@pytest.fixture
def server() -> Iterator[PrivatePostgres]:
    with private_postgres() as running:
        upgrade(running.url)
        yield running


@pytest.fixture
def postgres_store(new_store_url: Callable[[str], str]) -> Iterator[Store]:
    opened = Store.open(new_store_url("postgresql"))
    yield opened
    opened.close()


def test_a_store_goes_on_when_its_server_comes_back(server: PrivatePostgres):
    store = Store.open(server.url)
    job = jobs.enqueue(store, "extraction", ExtractSpec(model="m", sae="s", text=("t",)))
    _, lease = jobs.claim(store, Owner.of_this_process(), 60, job_id=job.id)

    def lose_the_server() -> None:
        with store.write() as session:
            session.execute(sa.select(JobRow))
            server.stop()
            session.execute(sa.select(JobRow))

    for attempt in (lose_the_server, lambda: fetch_job(store, job.id), lambda: jobs.heartbeat(store, lease, 60)):
        with pytest.raises(ExternalError, match="does not answer") as caught:
            attempt()
        assert caught.value.retryable, caught.value
    server.start()
    jobs.heartbeat(store, lease, 60, {"done": 1})
    assert fetch_job(store, job.id).progress == {"done": 1}
    assert jobs.reconcile(store) == []
    store.close()


def test_a_wrong_name_or_database_is_no_passing_failure(postgres_url: str):
    nowhere = sa.make_url(postgres_url).set(database="not-there").render_as_string(hide_password=False)
    with pytest.raises(ExternalError, match="not-there") as caught:
        Store.open(nowhere)
    assert not caught.value.retryable


def test_a_server_that_is_not_there_may_come():
    with pytest.raises(ExternalError, match="does not answer") as caught:
        Store.open("postgresql://nobody:secret@127.0.0.1:1/none")
    assert caught.value.retryable


def test_who_finds_no_free_connection_is_told_what_to_raise(store_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("featlas.store.session.BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr("featlas.store.database.BUSY_TIMEOUT_S", 0.05)
    store = Store.open(store_url, n_connections=2)
    with store.read() as one, store.read() as other:
        for session in (one, other):
            session.execute(sa.select(JobRow))
        with pytest.raises(ExternalError, match=r"is in use .*raise FEATLAS_DATABASE_CONNECTIONS") as caught:
            fetch_job(store, 1)
    assert caught.value.retryable
    store.close()


def test_a_process_opens_no_more_connections_than_it_may(store_url: str, dialect: str):
    store = Store.open(store_url, n_connections=3)
    gate = threading.Barrier(3)

    def hold() -> None:
        with store.read() as session:
            session.execute(sa.select(JobRow))
            gate.wait(30)

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.engine.pool.checkedin() == 2  # type: ignore[attr-defined]  # the one more was closed
    store.close()


def test_a_lock_that_another_holds_is_waited_for_no_longer_than_promised(
    postgres_store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("featlas.store.session.BUSY_TIMEOUT_S", 1)
    other = Store.open(postgres_store.url.render_as_string(hide_password=False))
    with postgres_store.write() as holder:
        holder.execute(sa.text("LOCK TABLE jobs"))
        with pytest.raises(ExternalError, match="lock timeout") as caught:
            fetch_job(other, 1)
    assert caught.value.retryable
    other.close()


def test_a_statement_of_the_server_is_cancelled_after_its_time(postgres_store: Store):
    url = postgres_store.url.render_as_string(hide_password=False)
    store = Store.open(url, statement_s=1)
    with pytest.raises(ExternalError, match="statement timeout"), store.read() as session:
        session.execute(sa.text("SELECT pg_sleep(20)"))
    store.close()


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:secret@host:port/name", "postgresql//u:secret@host/name", "postgresql://u:se@cret@host/name"],
)
def test_a_password_in_a_broken_url_is_not_repeated(url: str):
    with pytest.raises(InputError, match=r"expected sqlite:///path") as caught:
        Store.open(url)
    assert "cret" not in str(caught.value)
