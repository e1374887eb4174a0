"""The metric catalogue: unit, valid range, golden signal and limit of every metric the suite knows by name.

A metric that is not listed is valid too: its unit is unknown, its range unbounded, and its golden signal is
guessed from the words of its name. Labels never change these: `http_requests{code="500"}` is looked up as `http_requests`.

Business or infrastructure is a second question: how much customers do (traffic that they cause) follows the hour and the
weekday, while what the machines do about it (latency, errors, saturation) has a level that should hold at any hour.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

from data_contracts.series.text import SeriesTextError, metric_of

Signal = Literal["traffic", "latency", "errors", "saturation"]
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)
Nature = Literal["business", "infrastructure"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """Contract of one metric: values lie in [low, high] in `unit`; `limit` is where the resource is exhausted (NaN = none)."""

    name: str
    unit: str
    signal: Signal
    low: float = -math.inf
    high: float = math.inf
    limit: float = math.nan


_SPECS: Final = (
    MetricSpec("requests_per_second", "1/s", "traffic", low=0.0),
    MetricSpec("latency_p50_ms", "ms", "latency", low=0.0),
    MetricSpec("latency_p99_ms", "ms", "latency", low=0.0),
    MetricSpec("error_rate", "ratio", "errors", low=0.0, high=1.0),
    MetricSpec("cpu_utilization", "ratio", "saturation", low=0.0, high=1.0, limit=1.0),
    MetricSpec("memory_utilization", "ratio", "saturation", low=0.0, high=1.0, limit=1.0),
    MetricSpec("connections_utilization", "ratio", "saturation", low=0.0, high=1.0, limit=1.0),
    MetricSpec("disk_utilization", "ratio", "saturation", low=0.0, high=1.0, limit=1.0),
)
CATALOGUE: Final[dict[str, MetricSpec]] = {spec.name: spec for spec in _SPECS}

_WORDS: Final[tuple[tuple[Signal, tuple[str, ...]], ...]] = (
    ("latency", ("latency", "duration", "response_time", "delay", "wait")),
    ("errors", ("error", "fail", "exception", "5xx", "4xx", "timeout", "reject", "drop")),
    ("saturation", ("cpu", "memory", "mem_", "disk", "conn", "queue", "pool", "heap", "usage", "utilization")),
)


def base_name(metric: str) -> str:
    """Return the metric without its labels, of a metric or of the text that people read.

    >>> base_name('http_requests{code="500"}'), base_name("odd{name")
    ('http_requests', 'odd{name')
    """
    if "{" not in metric:
        return metric
    try:
        return metric_of(metric)[0]
    except SeriesTextError:
        return metric


@lru_cache(maxsize=4096)
def spec_of(metric: str) -> MetricSpec:
    """Return the contract of `metric`; for an unlisted name, an unbounded one with a guessed golden signal.

    >>> spec_of("checkout_latency_seconds").signal
    'latency'
    """
    name = base_name(metric)
    known = CATALOGUE.get(name)
    if known is not None:
        return known
    lowered = name.lower()
    for signal, words in _WORDS:
        if any(word in lowered for word in words):
            return MetricSpec(name, "", signal)
    return MetricSpec(name, "", "traffic")


YES_OR_NO: Final = ("up", "probe_success")
"""Metrics that are 0 or 1: whether a target answers. Another value under that name is valid all the same."""


def width_of(metric: str) -> float:
    """Return how far apart the lowest and the highest value of a metric are, infinite where nobody knows.

    >>> width_of("error_rate"), width_of('up{job="api"}'), width_of("latency_p99_ms")
    (1.0, 1.0, inf)
    """
    if base_name(metric) in YES_OR_NO:
        return 1.0
    spec = spec_of(metric)
    return spec.high - spec.low


LIMIT_SHARE: Final = 0.98
"""Of the highest possible value: from there a resource counts as exhausted, a ratio as complete."""


def hard_limit(metric: str) -> float:
    """Return the value from which a metric counts as at its hard limit, infinite where the catalogue knows none.

    >>> hard_limit("disk_utilization"), hard_limit("latency_p99_ms")
    (0.98, inf)
    """
    spec = spec_of(metric)
    limit = spec.limit if math.isfinite(spec.limit) else spec.high
    return LIMIT_SHARE * limit if math.isfinite(limit) and limit > 0.0 else math.inf


_LOAD_WORDS: Final = ("request", "workload", "throughput", "traffic", "network", "receive", "transmit", "packet", "qps", "rps")


def is_load(metric: str) -> bool:
    """Return whether a metric says by name how much is asked of a service: more of it is no fault, less may be one.

    A metric that is traffic only because nothing better is known of its name is none.

    >>> is_load("requests_per_second"), is_load("network_receive_bytes"), is_load("consumer_lag"), is_load("request_latency_ms")
    (True, True, False, False)
    """
    spec = spec_of(metric)
    return spec.signal == "traffic" and any(word in spec.name.lower() for word in _LOAD_WORDS)


_BUSINESS_WORDS: Final = (
    "request", "order", "sale", "revenue", "payment", "purchase", "checkout", "booking", "transaction", "conversion",
    "signup", "sign_up", "login", "session", "user", "visit", "view", "click", "demand", "ride",
)  # fmt: skip


def nature_of(metric: str) -> Nature:
    """Return whether a metric says what customers do (business) or how the machines fare (infrastructure).

    Listed metrics: traffic is business. For an unlisted name a word must say so, for traffic is also what is guessed last.

    >>> nature_of("requests_per_second"), nature_of("request_latency_ms"), nature_of("gc_runs")
    ('business', 'infrastructure', 'infrastructure')
    """
    spec = spec_of(metric)
    if spec.signal != "traffic":
        return "infrastructure"
    lowered = spec.name.lower()
    listed = spec.name in CATALOGUE
    return "business" if listed or any(word in lowered for word in _BUSINESS_WORDS) else "infrastructure"
