"""Metrics that say how a process or a host goes about its work, not how well it does it; and the suite's own about its alarms.

What users feel (latency, errors, traffic) and what runs out (processor, memory, disk, network) is not among them: a pause of the
garbage collector or a socket in TIME_WAIT is of use to who looks for a cause, and of none to who sleeps.
"""

from typing import Final

from data_contracts.schemas.metrics import base_name

_RUNTIMES: Final = (
    "go_", "process_", "python_gc_", "python_info", "jvm_", "nodejs_", "dotnet_", "ruby_", "promhttp_", "net_conntrack_",
    "scrape_", "aiops_",
)  # fmt: skip
"""Of language runtimes, of a process as such, of exporters and scrapes, and of the suite itself."""
_HOST: Final = ("node_", "windows_")
_RESOURCES: Final = (
    "cpu_", "load", "memory_memavailable", "memory_swapfree", "memory_available", "memory_usage", "memory_util", "filesystem_",
    "logical_disk_", "disk_", "network_", "net_", "pressure_", "vmstat_oom",
)  # fmt: skip
"""Of a host, what runs out; all else of it is the work of its kernel or of its exporter."""
_OF_ALARMS: Final = tuple(
    f"aiops_{name}"
    for name in (
        "alert", "incident", "page", "detection", "prediction", "notification", "desk", "export", "candidate", "rca",
        "root_cause", "deferred", "asked", "left_tier1", "fallback", "anomaly_score", "expected", "lower", "upper", "value",
    )
)  # fmt: skip


def is_internal(metric: str) -> bool:
    """Return whether a metric is of the inner work of a process or a host: information, by itself no reason to page.

    >>> [is_internal(name) for name in ("go_gc_duration_seconds", "node_netstat_Tcp_OutRsts", "node_filesystem_avail_bytes")]
    [True, True, False]
    >>> is_internal("http_request_duration_seconds_p99"), is_internal('process_open_fds{job="api"}')
    (False, True)
    """
    name = base_name(metric).lower()
    if name.startswith(_RUNTIMES):
        return True
    host = next((prefix for prefix in _HOST if name.startswith(prefix)), "")
    return bool(host) and not name.removeprefix(host).startswith(_RESOURCES)


def is_about_alarms(metric: str) -> bool:
    """Return whether a metric of the suite follows from its own alarms: one that alarms about those would never end.

    >>> is_about_alarms("aiops_alerts_in_total"), is_about_alarms("aiops_lag_seconds"), is_about_alarms("alerts")
    (True, False, False)
    """
    return base_name(metric).startswith(_OF_ALARMS)
