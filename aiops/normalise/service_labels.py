"""Which service a series is of: from a sender's labels, or from the resource that OpenTelemetry describes.

One rule for what is received and what is pulled, so that a series has one key whichever way it came.
Source: OpenTelemetry semantic conventions (service, k8s, host, faas, container), Prometheus' jobs and instances.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import Final

SERVICE_LABELS: Final = ("service_name", "service", "app_kubernetes_io_name", "app", "job")
"""Labels that name the service, the first that is there counts."""
HOST_METRICS: Final = ("node_*", "windows_*", "system.*")
"""Metrics of a machine as a whole: their service is the machine."""
UNKNOWN: Final = "unknown_service"
"""The service of what names none, as OpenTelemetry calls it."""

_WORKLOADS: Final = (
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "k8s.replicaset.name",
    "faas.name",
    "container.name",
    "k8s.pod.name",
)
_HOSTS: Final = ("host.name", "host.id", "k8s.node.name")


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A service, and the label that says it word by word ("" = none does): that one is left out of the series' labels."""

    service: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """`labels` in order of precedence; `host_metrics` are globs of metrics whose service is the host of label `instance`."""

    labels: tuple[str, ...] = SERVICE_LABELS
    host_metrics: tuple[str, ...] = HOST_METRICS

    def of_labels(self, metric: str, labels: Mapping[str, str]) -> ServiceName:
        """Return the service of a series of Prometheus.

        >>> ServiceRules().of_labels("http_requests_total", {"job": "cart", "instance": "10.0.0.1:80"})
        ServiceName(service='cart', label='job')
        >>> ServiceRules().of_labels("node_load1", {"job": "node", "instance": "web-1:9100"}).service
        'web-1'
        """
        if self._is_of_host(metric):
            host = labels.get("instance") or labels.get("host")
            if host:
                return ServiceName(host_of(host))
        for label in self.labels:
            if labels.get(label):
                return ServiceName(labels[label], label)
        host = labels.get("host") or labels.get("instance")
        return ServiceName(host_of(host) if host else UNKNOWN)

    def of_resource(self, metric: str, attributes: Mapping[str, str]) -> ServiceName:
        """Return the service of a resource of OpenTelemetry; `metric` is empty for logs and spans.

        >>> ServiceRules().of_resource("", {"service.name": "cart", "service.namespace": "shop"}).service
        'shop/cart'
        >>> ServiceRules().of_resource("system.cpu.time", {"host.name": "web-1"})
        ServiceName(service='web-1', label='host.name')
        """
        name = attributes.get("service.name", "")
        if name.partition(":")[0] == UNKNOWN:  # a library's stand-in, with the program's name behind it
            name = ""
        if not name and self._is_of_host(metric):
            key = next((key for key in _HOSTS if attributes.get(key)), "")
            if key:
                return ServiceName(attributes[key], key)
        if name:
            return _within(attributes.get("service.namespace", ""), name, "service.name")
        key = next((key for key in _WORKLOADS if attributes.get(key)), "")
        if key:
            return _within(attributes.get("k8s.namespace.name", ""), attributes[key], key)
        key = next((key for key in _HOSTS if attributes.get(key)), "")
        return ServiceName(attributes[key], key) if key else ServiceName(attributes.get("service.name") or UNKNOWN)

    def _is_of_host(self, metric: str) -> bool:
        return matches(self.host_metrics, metric)


def matches(globs: tuple[str, ...], text: str) -> bool:
    """Return whether a text matches one of the globs.

    >>> matches(("node_*", "up"), "node_load1"), matches((), "up")
    (True, False)
    """
    return _pattern(globs).fullmatch(text) is not None


@cache
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")


def host_of(instance: str) -> str:
    """Return the host of an address.

    >>> host_of("web-1:9100"), host_of("[::1]:9100"), host_of("https://web-1:9100/metrics"), host_of("::1")
    ('web-1', '::1', 'web-1', '::1')
    """
    address = instance.partition("://")[2] or instance
    address = address.partition("/")[0] or address
    if address.startswith("["):
        return address[1:].partition("]")[0] or instance
    host, sign, port = address.rpartition(":")
    return host if sign and port.isdigit() and ":" not in host and host else address


def _within(namespace: str, name: str, key: str) -> ServiceName:
    return ServiceName(f"{namespace}/{name}") if namespace else ServiceName(name, key)
