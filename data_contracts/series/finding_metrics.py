"""Metrics that the suite exports about series it watches. Their names are reserved: what it said itself it never scores."""

from types import MappingProxyType
from typing import Final

FINDING_METRICS: Final = MappingProxyType(
    {
        "aiops_value": "Value of the watched series as it was judged.",
        "aiops_anomaly_score": "Score of tier 1 for that value, 0 to 1.",
        "aiops_expected": "Value that was expected.",
        "aiops_lower": "Value below which tier 1 raises the alarm.",
        "aiops_upper": "Value above which tier 1 raises the alarm.",
    }
)
"""Name and meaning of each."""


def is_finding_metric(metric: str) -> bool:
    """Return whether a metric is one that the suite exports, and so no telemetry of anybody.

    >>> is_finding_metric("aiops_upper"), is_finding_metric("aiops_points_total")
    (True, False)
    """
    return metric in FINDING_METRICS
