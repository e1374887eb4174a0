"""Metrics that say how a process or a host goes about its work, not how well it does it.

What users feel (latency, errors, traffic) and what runs out (processor, memory, disk, network) is not among them: a pause of the
garbage collector or a socket in TIME_WAIT is of use to who looks for a cause, and of none to who sleeps.
"""

from functools import lru_cache
from typing import Final

from data_contracts.schemas.metrics import base_name

_RUNTIMES: Final = (
    "go_", "python_gc_", "python_info", "jvm_", "nodejs_", "dotnet_", "ruby_", "promhttp_", "net_conntrack_",
    "scrape_", "aiops_",
)  # fmt: skip
"""Of language runtimes, of exporters and scrapes, and of the suite itself: an alarm about its alarms would never end."""
_HOSTS: Final = ("node_", "windows_", "process_")
_RESOURCES: Final = (
    "cpu_", "load", "memory_memavailable", "memory_swapfree", "memory_available", "memory_usage", "memory_util", "filesystem_",
    "logical_disk_", "disk_", "network_", "net_", "pressure_", "vmstat_oom", "resident_memory", "open_fds",
)  # fmt: skip
"""Of a host or a process, what runs out; all else of it is the work of its kernel or of its exporter."""


@lru_cache(maxsize=4096)
def is_internal(metric: str) -> bool:
    """Return whether a metric is of the inner work of a process or a host: information, by itself no reason to alarm.

    >>> [is_internal(name) for name in ("go_gc_duration_seconds", "node_netstat_Tcp_OutRsts", "node_filesystem_avail_bytes")]
    [True, True, False]
    >>> [is_internal(name) for name in ('process_max_fds{job="api"}', "process_cpu_seconds_total", "aiops_alerts_in_total")]
    [True, False, True]
    >>> is_internal("http_request_duration_seconds_p99"), is_internal("latency_p99_ms")
    (False, False)
    """
    name = base_name(metric).lower()
    if name.startswith(_RUNTIMES):
        return True
    host = next((prefix for prefix in _HOSTS if name.startswith(prefix)), "")
    return bool(host) and not name.removeprefix(host).startswith(_RESOURCES)
