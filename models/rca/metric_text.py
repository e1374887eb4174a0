"""Metrics in words and amounts with units, as far as a metric's name has them."""

import math
from typing import Final

from data_contracts.schemas.metrics import base_name, spec_of
from data_contracts.series.text import SeriesTextError, metric_of

_UNITS: Final = {
    "ms": "ms",
    "milliseconds": "ms",
    "us": "µs",
    "s": "s",
    "sec": "s",
    "seconds": "s",
    "percent": "%",
    "pct": "%",
    "bytes": "B",
    "kb": "kB",
    "mb": "MB",
    "ratio": "ratio",
    "utilization": "ratio",
}
_KINDS: Final = {"cpu": "CPU", "conn": "connections", "pool": "connection pool"}
"""Kinds of evidence that are parts of metrics' names; the others are words."""


def kind_words(kind: str) -> str:
    """Return a kind of evidence in words.

    >>> kind_words("conn"), kind_words("own latency")
    ('connections', 'own latency')
    """
    return _KINDS.get(kind, kind)


def words_of(metric: str) -> str:
    """Return a metric's name in words, its unit left out.

    >>> words_of('call_latency_ms{callee="db"}'), words_of("latency_p99_ms")
    ('call latency to db', 'latency p99')
    """
    words = base_name(metric).split("_")
    if len(words) > 1 and words[-1].lower() in _UNITS and words[-1].lower() != "utilization":
        words = words[:-1]
    callee = call_to(metric)
    return " ".join(word for word in words if word) + (f" to {callee}" if callee else "")


def call_to(metric: str) -> str:
    """Return the callee of a metric of calls; "" of any other.

    >>> call_to('call_latency_ms{callee="db"}')
    'db'
    """
    if "{" not in metric:
        return ""
    try:
        return dict(metric_of(metric)[1]).get("callee", "")
    except SeriesTextError:
        return ""


def shown(metric: str) -> tuple[float, str]:
    """Return what a value is multiplied with to be shown, and its unit; "" = unknown.

    >>> shown("cpu_utilization"), shown("latency_p99_ms")
    ((100.0, '%'), (1.0, 'ms'))
    """
    unit = _unit(metric)
    return (100.0, "%") if unit == "ratio" else (1.0, unit)


def _unit(metric: str) -> str:
    return spec_of(metric).unit or _UNITS.get(base_name(metric).lower().rpartition("_")[2], "")


def amount(metric: str, value: float) -> str:
    """Return a value with the unit of the metric's name; shares as per cent.

    >>> amount("latency_p99_ms", 840.2), amount("cpu_utilization", 0.314), amount("requests_per_second", 12.0)
    ('840 ms', '31 %', '12/s')
    """
    unit = _unit(metric)
    if not math.isfinite(value):
        return "unknown"
    if unit == "ratio":
        return f"{_number(100.0 * value)} %"
    return f"{_number(value)}/s" if unit == "1/s" else f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    """Return a number with as many digits as people read: two or three, no exponent in the usual range."""
    size = abs(value)
    if size >= 1e7 or 0.0 < size < 1e-4:
        return f"{value:.2e}"
    digits = 0 if size >= 10.0 else 1 if size >= 1.0 else 2 if size >= 0.1 else 4
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if digits else text) or "0"
