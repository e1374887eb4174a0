"""What the suite's processes export to Prometheus, and what a PromQL expression asks for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from prometheus_client.registry import Collector

from data_contracts.series.finding_metrics import FINDING_METRICS
from orchestration.reference.metric_page import registries

OF_PROMETHEUS: Final = {"job", "instance"}
_OF_HISTOGRAMS: Final = ("_bucket", "_sum", "_count")
_SELECTOR: Final = re.compile(r"\b(up|ALERTS|aiops[\w:]+)(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+) *(?:=~|!~|!=|=) *"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that an expression names, with the values that its labels are compared with."""

    metric: str
    labels: Mapping[str, str]


@cache
def exported_series() -> Mapping[str, set[str]]:
    """Return the labels of each series of the registries, by its name: `x_bucket`, `x_sum` and `x_count` of a histogram `x`."""
    series: dict[str, set[str]] = {}
    for registry in registries():
        for collector in registry.collectors:
            for name, labels in _series_of(collector):
                series.setdefault(name, set()).update(labels)
    return series | {name: {"tenant", "service", "metric"} for name in FINDING_METRICS}


def selectors(expression: str) -> list[Selector]:
    """Return what an expression selects; names of labels and functions are none."""
    return [Selector(name, dict(_MATCHER.findall(matchers))) for name, matchers in _SELECTOR.findall(_without_texts(expression))]


def _without_texts(expression: str) -> str:
    """Return an expression without what stands in quotes outside of braces."""
    return expression if "{" in expression else re.sub(r'"[^"]*"', "", expression)


def _series_of(collector: Collector) -> Iterator[tuple[str, tuple[str, ...]]]:
    for family in collector.collect():
        labels = tuple(getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ()))
        if family.type == "histogram":
            yield from ((family.name + suffix, (*labels, *(("le",) if suffix == "_bucket" else ()))) for suffix in _OF_HISTOGRAMS)
        else:
            yield (f"{family.name}_total" if family.type == "counter" else family.name), labels
