"""Counters and times of a server for Prometheus, with the extra `metrics`.

Addresses are counted by what they are for (`/api/pictures/{item_id}`), never with what was asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrieval.errors import MmsearchError
from web.routes import route_of

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from web.service import Service

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """What is counted of one server."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self.requests = Counter(
            "mmsearch_requests", "Requests that were answered.", (*labels, "status"),
            registry=self._registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "mmsearch_request_seconds", "How long answering took.", labels,
            buckets=_BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self.running = Gauge(
            "mmsearch_requests_running", "Requests that are being answered.",
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(_IndexState(service))

    def text(self) -> bytes:
        """All of it, in the text format of Prometheus."""
        return generate_latest(self._registry)


class _IndexState:
    """What the index holds, looked at when it is asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """The state as gauges; without an index, that of an empty one."""
        pictures = failures = generation = 0
        try:
            catalog = self._service.engine.catalog
            pictures, failures = catalog.count_items(), len(catalog.failures())
            generation = catalog.generation
        except MmsearchError:
            pass
        job = self._service.indexing.job
        is_indexing = job is not None and job.record()["state"] == "running"
        yield GaugeMetricFamily("mmsearch_pictures", "Items in the index.", pictures)
        yield GaugeMetricFamily("mmsearch_failures", "Files that could not be read.", failures)
        yield GaugeMetricFamily("mmsearch_generation", "Changes of the catalogue.", generation)
        yield GaugeMetricFamily("mmsearch_indexing", "Whether a run is on.", int(is_indexing))


class MeasureRequests:
    """Middleware that counts and times."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.running.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.running.dec()
            method, route = scope["method"], route_of(scope)
            method = method if method in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - started)
