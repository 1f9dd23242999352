"""Families in the text format of Prometheus; its library is loaded with this module, when the first scrape comes."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pinocchio_core.web.counting import AnyFamily, Family, TimesFamily


def text_of(families: Iterable[AnyFamily]) -> bytes:
    """All of them, version 0.0.4 of the format."""
    registry = CollectorRegistry()
    registry.register(_Given(families))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Iterable[AnyFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            yield _times(family) if isinstance(family, TimesFamily) else _values(family)


def _values(family: Family) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.text, labels=family.labels)
    for key, value in sorted(family.values):
        metric.add_metric(key, value)
    return metric


def _times(family: TimesFamily) -> Metric:
    bounds = [*map(str, family.bounds_s), "+Inf"]
    metric = HistogramMetricFamily(family.name, family.text, labels=family.labels)
    for key, (*counts, seconds) in sorted(family.values):
        metric.add_metric(key, list(zip(bounds, accumulate(counts), strict=True)), seconds)
    return metric
