"""The process that serves the UI and the API, and works on queued jobs beside; it never loads torch itself."""

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import uvicorn

import featlas
from featlas.api.app import create_app
from featlas.api.door import LOOPBACK_NAMES, Door
from featlas.api.surroundings import Surroundings
from featlas.entry.ending import GRACE_S, Server, ending_in_order
from featlas.entry.logs import start_logging
from featlas.entry.providers import list_providers, try_provider
from featlas.entry.readiness import readiness_checks
from featlas.entry.worker import job_processes, make_doorbell
from featlas.errors import ConflictError, ExternalError, InputError
from featlas.pipeline.registry import KINDS
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.settings import Settings
from featlas.store.access import create_login
from featlas.store.job_views import fetch_job
from featlas.store.session import Store
from featlas.worker.local import LocalRunner
from featlas.worker.rounds import Team

logger = logging.getLogger(__name__)

UI_FOLDER = Path(featlas.__file__).parent / "web"
STATEMENT_S = 60  # nobody waits longer than that for a page
_ALL_ADDRESSES = ("0.0.0.0", "::")
_SOMEWHERE = {
    socket.AF_INET: "192.0.2.1",
    socket.AF_INET6: "2001:db8::1",
}  # of documentation, RFC 5737 and 3849
KEEP_ALIVE_S = 75
"""Longer than proxies keep an idle connection (nginx 60 s): who ends it first may end it under the other's request."""

_LONGEST_HEAD_BYTES = 64 * 1024  # of a request: its line with the query, and its headers
_NICENESS = 10  # a page that somebody looks at comes before a job that takes minutes anyway


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    root_path: str = "",
    allowed_hosts: Sequence[str] = (),
    require_token: bool = False,
    on_ready: Callable[[str, str | None], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` gets the address once requests are answered.

    Where others than this machine reach it, or `require_token` says so, everybody needs a token or a login, and
    `on_ready` gets a one-time address too. `port` 0 takes any free one. When it ends, requests in flight are answered,
    event streams end, and a job that runs here goes back to the queue (entry/ending.py says how long that may take).
    Raises InputError for a folder in FEATLAS_ROOTS that is none, ConflictError for a port in use.
    """
    start_logging(settings)
    names = (*allowed_hosts, *settings.allowed_host_names)
    door = open_door(settings, host, names, require_token=require_token)
    roots = find_roots(settings) if door.requires_token else None
    bound = bind(host, port)
    url = f"http://{_in_url(_shown_host(host, names))}:{bound.getsockname()[1]}{root_path}/"
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
                roots=roots,
                lease_s=settings.lease_s,
                checks=readiness_checks(settings, store),
            ),
            ui=UI_FOLDER,
            door=door,
            root_path=root_path,
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # it would hold the codes of one-time addresses
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=KEEP_ALIVE_S,
            http="h11",
            h11_max_incomplete_event_size=_LONGEST_HEAD_BYTES,
        )
        server = Server(config, asked, lambda: app.state.job_watch.let_all_go())  # noqa: PLW0108 (not there yet)

        def tell() -> None:
            if on_ready is not None:
                on_ready(url, login_url(url, create_login(store)) if door.requires_token else None)

        watcher = threading.Thread(target=_tell_when_ready, args=(server, tell), daemon=True)
        watcher.start()
        server.run(sockets=[bound])


def open_door(settings: Settings, host: str, names: Sequence[str] = (), *, require_token: bool = False) -> Door:
    """By which names a server that listens there may be asked, and whether it asks for tokens."""
    return Door(
        allowed_hosts=LOOPBACK_NAMES | {host, *names},
        allows_addresses=host in _ALL_ADDRESSES,
        requires_token=require_token or not is_loopback(host),
        max_body_bytes=settings.max_body_bytes,
    )


def find_roots(settings: Settings) -> tuple[Path, ...]:
    """The folders whose files may be named over the network; raises InputError for one that is not there."""
    for path in settings.root_paths:
        if not path.is_absolute() or not path.is_dir():
            raise InputError(f"FEATLAS_ROOTS: {str(path)!r} is no folder; expected whole paths of folders")
    return settings.root_paths


def login_url(url: str, code: str) -> str:
    """The one-time address of a server at `url`."""
    return f"{url.rstrip('/')}/login?code={code}"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises ConflictError for a taken port or an address that this machine does not have."""
    family = _family(host)
    # asyncio turns Nagle's algorithm off only where TCP is named. With it, a body waits 40 ms for its head's receipt.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConflictError(
            f"cannot listen on {host}:{port}: {error.strerror}; expected an address of this machine and a port that is"
            " free: choose another --port, or 0 for any free one"
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
    runner = LocalRunner(store, settings.logs_path, processes=job_processes(), niceness=_NICENESS)

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


def _tell_when_ready(server: uvicorn.Server, tell: Callable[[], None]) -> None:
    while not server.started:
        if server.should_exit:
            return
        threading.Event().wait(0.02)
    tell()


def _shown_host(host: str, names: Sequence[str]) -> str:
    """What others put into their browsers: a name that was given, else an address of this machine."""
    if host not in _ALL_ADDRESSES:
        return host
    if names:
        return names[0]
    with suppress(OSError), socket.socket(_family(host), socket.SOCK_DGRAM) as probe:
        probe.connect((_SOMEWHERE[_family(host)], 9))  # sends nothing: it only chooses a way out
        return probe.getsockname()[0]
    return "localhost"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
