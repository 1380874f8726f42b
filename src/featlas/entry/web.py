"""The process that serves the UI and the API, and works on queued jobs beside; it never loads torch itself."""

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn

import featlas
from featlas.api.app import create_app
from featlas.api.guard import LOOPBACK_NAMES
from featlas.api.surroundings import Surroundings
from featlas.entry.ending import GRACE_S, Server, ending_in_order
from featlas.entry.logs import start_logging
from featlas.entry.providers import list_providers, try_provider
from featlas.entry.readiness import readiness_checks
from featlas.entry.worker import make_doorbell
from featlas.errors import ConflictError, ExternalError, InputError
from featlas.pipeline.registry import KINDS
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.settings import Settings
from featlas.store.job_views import fetch_job
from featlas.store.session import Store
from featlas.worker.local import LocalRunner
from featlas.worker.rounds import Team

logger = logging.getLogger(__name__)

UI_FOLDER = Path(featlas.__file__).parent / "web"
STATEMENT_S = 60  # nobody waits longer than that for a page
_NICENESS = 10  # a page that somebody looks at comes before a job that takes minutes anyway


def serve(
    settings: Settings, host: str, port: int, *, root_path: str = "", on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` gets the address once requests are answered.

    `port` 0 takes any free one. When it ends, requests in flight are answered, event streams end, and a job that runs
    here goes back to the queue (entry/ending.py says how long that may take). Raises InputError for a
    host that is not this machine itself, ConflictError for a port in use.
    """
    start_logging(settings)
    bound = bind(host, port)
    url = f"http://{_in_url(host)}:{bound.getsockname()[1]}{root_path}/"
    with ending_in_order() as asked, bound, open_store(settings) as store, workers_of(store, settings, asked) as wake:
        app = create_app(
            Surroundings(
                store=store,
                artifacts_path=settings.artifacts_path,
                spec_classes={name: kind.spec_class for name, kind in KINDS.items()},
                wake=wake,
                has_runner=not settings.broker_url,
                version=featlas.__version__,
                list_providers=partial(list_providers, settings),
                try_provider=partial(try_provider, settings),
                lease_s=settings.lease_s,
                checks=readiness_checks(settings, store),
            ),
            ui=UI_FOLDER,
            allowed_hosts=LOOPBACK_NAMES | {host},
            root_path=root_path,
        )
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S)
        server = Server(config, asked, lambda: app.state.job_watch.let_all_go())  # noqa: PLW0108 (not there yet)
        watcher = threading.Thread(target=_tell_when_ready, args=(server, url, on_ready), daemon=True)
        watcher.start()
        server.run(sockets=[bound])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on this machine only; raises InputError for another host, ConflictError for a taken port."""
    if not is_loopback(host):
        raise InputError(
            f"--host {host}: without access control Featlas serves this machine only; expected 127.0.0.1, ::1 or"
            " localhost (an SSH tunnel brings the page elsewhere: ssh -L 8765:localhost:8765 HOST)"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConflictError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port, or 0 for any free one"
        ) from error
    except OverflowError as error:
        bound.close()
        raise InputError(f"--port {port}: expected 0 … 65535") from error
    return bound


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there now."""
    try:
        bind(host, port).close()
    except ConflictError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The store with the templates that come with Featlas, and connections for the threads that answer."""
    store = Store.open(settings.store_url, n_connections=settings.database_connections, statement_s=STATEMENT_S)
    try:
        add_shipped_templates(store)
        yield store
    finally:
        store.close()


@contextmanager
def workers_of(store: Store, settings: Settings, stop: threading.Event) -> Iterator[Callable[[int], None]]:
    """Those who work on queued jobs: a team's workers where there is a broker, else a thread here; yields the bell.

    The thread begins to hand back what it works on as soon as `stop` is set.
    """
    with team_rounds(store, settings) if settings.broker_url else local_runner(store, settings, stop) as wake:
        yield wake


@contextmanager
def team_rounds(store: Store, settings: Settings) -> Iterator[Callable[[int], None]]:
    """Makes the rounds of a team in a thread; yields the bell that wakes its workers."""
    team, stop = Team(store, make_doorbell(settings), settings.lease_s), threading.Event()
    thread = threading.Thread(target=team.make_rounds, args=(stop,), name="rounds")
    thread.start()
    try:
        yield lambda job_id: team.wake(job_id, fetch_job(store, job_id).queue)
    finally:
        stop.set()
        thread.join()


@contextmanager
def local_runner(store: Store, settings: Settings, stop: threading.Event) -> Iterator[Callable[[int], None]]:
    """Works on queued jobs in a thread, one after another, until `stop`; yields the bell that says there is one."""
    bell = threading.Event()
    runner = LocalRunner(store, settings.logs_path, niceness=_NICENESS)

    def work() -> None:
        while not stop.is_set():
            try:
                runner.serve(stop)
            except ExternalError:
                # A disk or a database that refuses today may not refuse in a while; the jobs stay in the queue.
                logger.exception("the runner stopped; it tries again in a minute")
                stop.wait(60)

    thread = threading.Thread(target=work, name="runner")
    thread.start()
    try:
        yield lambda _job_id: bell.set()  # the runner looks every second anyway
    finally:
        stop.set()
        thread.join()


def _tell_when_ready(server: uvicorn.Server, url: str, on_ready: Callable[[str], None] | None) -> None:
    while not server.started:
        if server.should_exit:
            return
        threading.Event().wait(0.02)
    if on_ready is not None:
        on_ready(url)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
