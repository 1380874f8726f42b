"""What the server counts and measures, in the text format of Prometheus, for those who watch over it.

Requests are labeled by the template of their route, never by their path, so that the number of series has a bound that
no client can move. Figures from the database are taken when they are asked for, at most every few seconds.
"""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector

from featlas.api.patience import Patient
from featlas.errors import FeatlasError
from featlas.store.census import Census, take_census
from featlas.store.session import Store

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""From a row out of memory to a document out of the block files; half a second is where people begin to wait."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATUSES = frozenset(status.value for status in HTTPStatus)
_CENSUS_KEPT_S = 5.0
_CENSUS_LIMIT_S = 2.0
_MICRO = 1e-6

disable_created_metrics()  # when a series began is a second series each, which nobody asks for


class Metrics:
    """The figures of one server, in a registry of its own, so that two in one process do not add up."""

    def __init__(self, store: Store, version: str, lease_s: float, count_streams: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._store, self._count_streams = store, count_streams
        self._census = Patient(lambda: take_census(store, lease_s), keep_s=_CENSUS_KEPT_S)
        self._requests = Counter(
            "featlas_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "featlas_http_request_seconds",
            "Seconds from a request's arrival to the end of its answer; event streams are not measured.",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        build = Gauge("featlas_build_info", "Which version runs; always 1.", ("version",), registry=self._registry)
        build.labels(version).set(1)
        ProcessCollector(registry=self._registry)
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def see_request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count a request; `seconds` None for one that is not measured."""
        method = method if method in _METHODS else "other"
        status = status if status in _STATUSES else 0
        # Looked up once per series: making the labels anew takes longer than counting.
        counter = self._counters.get((method, route, status))
        if counter is None:
            counter = self._counters[method, route, status] = self._requests.labels(method, route, str(status))
        counter.inc()
        if seconds is None:
            return
        histogram = self._histograms.get((method, route))
        if histogram is None:
            histogram = self._histograms[method, route] = self._seconds.labels(method, route)
        histogram.observe(seconds)

    async def text(self) -> bytes:
        """All of it now; where the database does not answer in time, without what only it knows."""
        try:
            census = await self._census.answer(_CENSUS_LIMIT_S)
        except (FeatlasError, TimeoutError):
            census = None
        found = CollectorRegistry()
        found.register(_Found([*self._of_process(), *_of_census(census)]))
        return generate_latest(self._registry) + generate_latest(found)

    def _of_process(self) -> Iterator[Metric]:
        n_in_use, n_kept = self._store.pool_use()
        yield _gauge("featlas_event_streams", "Event streams that are open.", {(): self._count_streams()})
        yield _gauge("featlas_database_connections_in_use", "Connections to the database in use.", {(): n_in_use})
        yield _gauge("featlas_database_connections_kept", "Connections that are kept for use.", {(): n_kept})


class _Found:
    """Figures that were gathered before, as a collector hands them out."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """All of them."""
        return self._metrics


def _of_census(census: Census | None) -> Iterator[Metric]:
    yield _gauge("featlas_database_up", "Whether the database answers.", {(): 0 if census is None else 1})
    if census is None:
        return
    yield _gauge("featlas_jobs", "Jobs by kind and state.", dict(census.jobs), "kind", "state")
    waits = {(queue,): seconds for queue, seconds in census.waiting_s.items()}
    yield _gauge("featlas_queue_oldest_seconds", "How long the oldest queued job has waited.", waits, "queue")
    yield _gauge("featlas_jobs_silent", "Running jobs whose lease ran out.", {(): census.n_silent})
    text = "Workers seen lately, in each of their queues."
    yield _gauge("featlas_workers", text, dict(census.workers), "queue", "version")
    tokens = CounterMetricFamily(
        "featlas_labeling_tokens", "Tokens of labelings that came to their end.", labels=("direction",)
    )
    tokens.add_metric(("in",), census.n_tokens_in)
    tokens.add_metric(("out",), census.n_tokens_out)
    yield tokens
    dollars = census.cost_micro_usd * _MICRO
    yield CounterMetricFamily("featlas_labeling_usd", "Dollars that labelings with a known price cost.", value=dollars)


def _gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
