"""Names under which programs write time, level, message, service and ids in JSON; the first that is there counts.

A dot is part of a name or leads into an object: `log.level` is read of both `{"log.level": …}` and `{"log": {"level": …}}`.
Source: Elastic Common Schema, OpenTelemetry logs data model and OTLP, and what these write unless told otherwise: zap, zerolog,
slog, logrus, bunyan, pino, winston, log4j2 (JSON template and layout), logstash-logback-encoder, structlog, python-json-logger,
Serilog (compact), Google Cloud Logging, GELF, Fluent Bit's Kubernetes filter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from serving.ingest.receive.signals.attribute_texts import Json

TIME: Final = (
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "timeUnixNano",
    "time_unix_nano",
    "observedTimeUnixNano",
    "Timestamp",
    "datetime",
    "asctime",
    "eventTime",
    "timeMillis",
    "instant.epochSecond",
    "@t",
    "date",
)
LEVEL: Final = (
    "log.level",
    "level",
    "severity",
    "severityText",
    "severity_text",
    "SeverityText",
    "levelname",
    "loglevel",
    "log_level",
    "lvl",
    "Level",
    "@l",
)
SEVERITY_NUMBER: Final = ("severityNumber", "severity_number", "SeverityNumber")
MESSAGE: Final = (
    "message",
    "msg",
    "body",
    "Body",
    "@m",
    "@mt",
    "short_message",
    "textPayload",
    "Message",
    "event",
    "log",
)
SCOPE: Final = ("log.logger", "logger", "loggerName", "logger_name", "scope.name", "SourceContext", "category")
TRACE_ID: Final = ("trace.id", "trace_id", "traceId", "traceID", "TraceId", "traceid")
SPAN_ID: Final = ("span.id", "span_id", "spanId", "spanID", "SpanId", "spanid")
EVENT: Final = ("event.name", "eventName", "event_name")
SERVICE: Final = ("serviceName", "application", "app_name", "appName", "applicationName")
"""Beside `service.name` and the labels that name a service of metrics (`AIOPS_INGEST__SERVICE_LABELS`)."""
RESOURCE: Final = {
    "service.name": ("service.name", "resource.service.name", "resource.attributes.service.name"),
    "service.namespace": ("service.namespace", "resource.service.namespace", "resource.attributes.service.namespace"),
    "service.version": ("service.version", "resource.attributes.service.version"),
    "k8s.namespace.name": ("k8s.namespace.name", "kubernetes.namespace_name", "kubernetes.namespace"),
    "k8s.deployment.name": ("k8s.deployment.name", "kubernetes.deployment.name"),
    "k8s.statefulset.name": ("k8s.statefulset.name", "kubernetes.statefulset.name"),
    "k8s.daemonset.name": ("k8s.daemonset.name", "kubernetes.daemonset.name"),
    "k8s.pod.name": ("k8s.pod.name", "kubernetes.pod_name", "kubernetes.pod.name"),
    "container.name": ("container.name", "k8s.container.name", "kubernetes.container_name", "kubernetes.container.name"),
    "k8s.node.name": ("k8s.node.name", "kubernetes.node_name", "kubernetes.node.name"),
    "host.name": ("host.name", "kubernetes.host", "hostname", "host"),
}
"""Attribute of the resource → where it stands."""
_PLANS: Final = 512
_MOST_KEYS: Final = 64
_MOST_LETTERS: Final = 4096
"""Plans of objects with more names, or with longer ones together, are not remembered."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """Which names an object may have for each thing: lines of one program have the same names, and are looked through once."""

    time: tuple[str, ...]
    level: tuple[str, ...]
    severity_number: tuple[str, ...]
    message: tuple[str, ...]
    trace_id: tuple[str, ...]
    span_id: tuple[str, ...]
    event: tuple[str, ...]
    scope: tuple[str, ...]
    service: tuple[str, ...]
    resource: tuple[tuple[str, tuple[str, ...]], ...]


def plan_of(fields: dict[str, Json], labels: tuple[str, ...]) -> FieldPlan:
    """Return the plan of an object, by its names; `labels` are those that name a service of metrics."""
    names = tuple(fields)
    short = len(names) <= _MOST_KEYS and sum(map(len, names)) <= _MOST_LETTERS
    return _remembered(names, labels) if short else _plan(names, labels)


def _plan(names: tuple[str, ...], labels: tuple[str, ...]) -> FieldPlan:
    held = frozenset(names)
    resource = ((attribute, _held(held, wanted)) for attribute, wanted in RESOURCE.items())
    return FieldPlan(
        _held(held, TIME),
        _held(held, LEVEL),
        _held(held, SEVERITY_NUMBER),
        _held(held, MESSAGE),
        _held(held, TRACE_ID),
        _held(held, SPAN_ID),
        _held(held, EVENT),
        _held(held, SCOPE),
        _held(held, (*labels, *SERVICE)),
        tuple((attribute, wanted) for attribute, wanted in resource if wanted),
    )


_remembered: Final = lru_cache(_PLANS)(_plan)


def _held(held: frozenset[str], wanted: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in wanted if not held.isdisjoint(_beginnings((name,))))


def first_taken(fields: dict[str, Json], names: tuple[str, ...]) -> Json:
    """Take as `taken` does, where the names are those of the object's plan."""
    for name in names:
        value = _taken(fields, name)
        if value is not None:
            return value
    return None


def holds_any(fields: dict[str, Json], names: tuple[str, ...]) -> bool:
    """Return whether one of these may be in the fields; False = none is."""
    return not fields.keys().isdisjoint(_beginnings(names))


def taken(fields: dict[str, Json], names: tuple[str, ...]) -> Json:
    """Take the first of these that is there and not null, an empty text or an object out of the fields; None = none is.

    >>> fields = {"log": {"level": "info", "file": "a"}}
    >>> taken(fields, ("level", "log.level")), fields
    ('info', {'log': {'file': 'a'}})
    """
    if not holds_any(fields, names):
        return None
    return first_taken(fields, names)


@cache
def _beginnings(names: tuple[str, ...]) -> frozenset[str]:
    """Return the names that an object has where it holds one of these: the name, or what stands before one of its dots."""
    return frozenset(".".join(name.split(".")[: count + 1]) for name in names for count in range(len(name.split("."))))


def _taken(fields: dict[str, Json], name: str) -> Json:
    value = fields.get(name)
    if value is not None and value != "" and not isinstance(value, dict):
        return fields.pop(name)
    before, dot, after = name.partition(".")
    while dot:
        inner = fields.get(before)
        if isinstance(inner, dict):
            value = _taken(inner, after)
            if value is not None:
                if not inner:
                    del fields[before]
                return value
        more, dot, after = after.partition(".")
        before = f"{before}.{more}"
    return None
