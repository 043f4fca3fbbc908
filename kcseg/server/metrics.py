"""Counters in Prometheus' text format, named as TF Serving names its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from kcseg.server.failure import Failure

_BUCKETS_MICROSECONDS = [10 * 1.8**power for power in range(33)]  # as TF Serving's


class Metrics:
    """Requests by outcome, and how long they took."""

    def __init__(self, model_name: str):
        """Count for one model."""
        self._model_name = model_name
        self._registry = registry = CollectorRegistry()
        # a gauge: to a counter, prometheus_client would add "_total", and dashboards for TF Serving miss it
        self._requests = Gauge(
            ":tensorflow:serving:request_count",
            "Requests by status.",
            ["model_name", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from receipt to answer, without those refused.",
            ["model_name", "API", "entrypoint"],
            buckets=_BUCKETS_MICROSECONDS,
            registry=registry,
        )

    @contextmanager
    def predict(self, entrypoint: str) -> Iterator[None]:
        """Count a Predict request and time it; `entrypoint` is REST or GRPC."""
        start, status = time.perf_counter(), "INTERNAL"
        try:
            yield
            status = "OK"
        except Failure as failure:
            status = failure.code.name
            raise
        finally:
            self._requests.labels(self._model_name, status).inc()
            if status == "OK":
                microseconds = (time.perf_counter() - start) * 1e6
                self._latency.labels(self._model_name, "Predict", entrypoint).observe(microseconds)

    def text(self) -> bytes:
        """Return all counters as Prometheus reads them."""
        return generate_latest(self._registry)
