"""What a user may say about a source: one frozen record, checked once, each mistake named with its fix."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiops.errors import ConfigurationError
from serving.ingest.pull.csv_blocks import Dialect
from serving.ingest.pull.file_bytes import checked_encoding

Form = Literal["auto", "long", "wide"]
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
Partial = Literal["refuse", "accept"]
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_COLUMN_FIELDS: Final = ("timestamp", "service", "metric", "value", "tenant")


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column of a table is which; `labels` are further columns that become labels of the same name."""

    timestamp: str = "timestamp"
    service: str = "service"
    metric: str = "metric"
    value: str = "value"
    tenant: str = "tenant"
    labels: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "ColumnMapping":
        """Return the mapping written as `field=column,…`; labels are joined by `+`.

        >>> ColumnMapping.parse("timestamp=ts,service=svc,labels=region+zone").labels
        ('region', 'zone')
        """
        pairs = _pairs("columns", text, "timestamp=ts,service=svc,labels=region+zone")
        labels = tuple(name for name in pairs.pop("labels", "").split("+") if name)
        unknown = sorted(set(pairs) - set(_COLUMN_FIELDS))
        if unknown:
            known = ", ".join((*_COLUMN_FIELDS, "labels"))
            raise ConfigurationError(f"columns: unknown field {unknown[0]!r} in {text!r}; known fields: {known}")
        return cls(**{name: pairs.get(name, name) for name in _COLUMN_FIELDS}, labels=labels)


@dataclass(frozen=True, slots=True)
class SpanColumns:
    """Which column of a table of spans is which; `parent` is empty for roots, `peer` and `time` may be absent from the file.

    `pod` = the column of Kubernetes pods, in place of `service`: the service is the pod's name without its last two dash groups.
    """

    trace: str = "trace_id"
    span: str = "span_id"
    parent: str = "parent_id"
    service: str = "service"
    peer: str = "peer"
    time: str = "time"
    pod: str = ""

    @classmethod
    def parse(cls, text: str) -> "SpanColumns":
        """Return the mapping written as `field=column,…`.

        >>> SpanColumns.parse("trace=TraceID,span=SpanID").trace
        'TraceID'
        """
        pairs, known = _pairs("columns", text, "trace=TraceID,span=SpanID,parent=ParentID"), [item.name for item in fields(cls)]
        unknown = sorted(set(pairs) - set(known))
        if unknown:
            raise ConfigurationError(f"columns: unknown field {unknown[0]!r} in {text!r}; known fields: {', '.join(known)}")
        return cls(**pairs)


def _pairs(option: str, text: str, example: str) -> dict[str, str]:
    """Return `name=value,…` as a dict; names are unique and neither side is empty."""
    pairs: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or not name or not value:
            raise ConfigurationError(f"{option}: {part!r} is not name=value; write for example {example!r}")
        if name in pairs:
            raise ConfigurationError(f"{option}: {name!r} is given twice in {text!r}; keep one")
        pairs[name] = value
    return pairs


def parse_series(text: str) -> Mapping[str, tuple[str, str]]:
    """Return wide columns by name as (service, metric), written as `column=service.metric,…`.

    >>> parse_series("c1=checkout.cpu_utilization")
    {'c1': ('checkout', 'cpu_utilization')}
    """
    named: dict[str, tuple[str, str]] = {}
    for column, name in _pairs("series", text, "c1=checkout.cpu_utilization").items():
        service, dot, metric = name.rpartition(".")
        if not dot or not service or not metric:
            raise ConfigurationError(f"series: {name!r} is not service.metric; write for example 'c1=checkout.cpu_utilization'")
        named[column] = (service, metric)
    return named


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Options of every source; `registry.open_source` refuses one that its source does not read.

    Files: path, columns, form, time_unit, time_format, time_zone, service and series (wide form), incidents, edges and changes
    (files), history_share; texts also delimiter, encoding, decimal and thousands.
    Prometheus: url, queries, start, end, step_s, token, service_label, partial, timeout_s, retries; followed live, in place of
    start and end: history, overlap_s (asked again each time), delay_s (before an instant is asked for). Simulation: seed,
    services, hours, step_s, start, incidents_per_day, drift, history_share, traces_per_min (0 = no log lines and spans),
    gray_per_day (incidents that no metric shows).
    """

    path: Path | None = None
    url: str | None = None
    columns: ColumnMapping = ColumnMapping()
    form: Form = "auto"
    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    time_zone: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    decimal: str = "."
    thousands: str | None = None
    service: str | None = None
    series: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    incidents: Path | None = None
    edges: Path | None = None
    changes: Path | None = None
    history_share: float = 0.6
    start: datetime | None = None
    end: datetime | None = None
    step_s: int = 60
    queries: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    service_label: str | None = None
    partial: Partial = "refuse"
    history: timedelta | None = None
    overlap_s: int = 300
    delay_s: int = 10
    timeout_s: float = 30.0
    retries: int = 5
    seed: int = 7
    services: int = 12
    hours: float = 240.0
    incidents_per_day: float = 4.0
    drift: bool = False
    traces_per_min: float = 4.0
    gray_per_day: float = 0.0

    def __post_init__(self) -> None:
        self._check_choice("form", self.form, get_args(Form))
        self._check_choice("time_unit", self.time_unit, get_args(TimeUnit))
        self._check_choice("partial", self.partial, get_args(Partial))
        self._check_text_form()
        self._check_range("history_share", self.history_share, 0.01, 0.99)
        self._check_range("step_s", self.step_s, 1, 86_400)
        self._check_range("overlap_s", self.overlap_s, 0, 86_400)
        self._check_range("delay_s", self.delay_s, 0, 86_400)
        if self.history is not None:
            self._check_range("history", self.history / timedelta(days=1), 0, 366)
        self._check_range("timeout_s", self.timeout_s, 0.1, 3600)
        self._check_range("retries", self.retries, 0, 20)
        self._check_range("seed", self.seed, 0, 2**63 - 1)
        self._check_range("services", self.services, 3, 50)
        self._check_range("hours", self.hours, 0.1, 24 * 366)
        self._check_range("incidents_per_day", self.incidents_per_day, 0, 12)
        self._check_range("traces_per_min", self.traces_per_min, 0, 1000)
        self._check_range("gray_per_day", self.gray_per_day, 0, 12)
        for name in ("start", "end"):
            moment = cast(datetime | None, getattr(self, name))
            if moment is not None and moment.utcoffset() is None:
                raise ConfigurationError(
                    f"{name}: {moment} has no time zone; give it in UTC, for example {moment.replace(tzinfo=UTC)}"
                )
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ConfigurationError(f"start: {self.start} is not before end {self.end}; give a start before the end")

    def _check_text_form(self) -> None:
        if self.encoding is not None:
            checked_encoding(self.encoding)
        if self.time_zone is not None:
            zone_of(self.time_zone)
        if self.delimiter is not None and (len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n'):
            raise ConfigurationError(f"delimiter: {self.delimiter!r} is not one character; give for example ; or tab")
        self._check_choice("decimal", self.decimal, (".", ","))
        if self.thousands is not None and (
            len(self.thousands) != 1 or self.thousands.isalnum() or self.thousands == self.decimal
        ):
            raise ConfigurationError(
                f"thousands: {self.thousands!r} is no mark beside decimal {self.decimal!r}; give for example ,"
            )
        if self.time_format is not None and "%" not in self.time_format:
            raise ConfigurationError(
                f"time_format: {self.time_format!r} names no part of a time; write for example '%d.%m.%Y %H:%M'"
            )
        if self.time_format is not None and self.time_unit != "auto":
            raise ConfigurationError(f"time_format: {self.time_format!r} goes with no time_unit; give one of the two")

    def _check_choice(self, option: str, value: str, known: tuple[str, ...]) -> None:
        if value not in known:
            raise ConfigurationError(f"{option}: {value!r} is not known; choose one of {', '.join(known)}")

    def _check_range(self, option: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise ConfigurationError(f"{option}: {value} lies outside {low} to {high}; choose a value within")

    @property
    def dialect(self) -> Dialect:
        """Return how texts of this source are written."""
        return Dialect(self.delimiter, self.encoding)

    def given(self) -> frozenset[str]:
        """Return the names of the options that differ from their defaults."""
        plain = _defaults()
        return frozenset(item.name for item in fields(self) if getattr(self, item.name) != getattr(plain, item.name))

    def folder(self, source: str) -> Path:
        """Return `path` as an existing folder.

        Raises:
            ConfigurationError: no path was given, or it is no folder.
        """
        path = self.existing(source)
        if not path.is_dir():
            raise ConfigurationError(f"path: {path} is a file; the source {source!r} reads a folder")
        return path

    def existing(self, source: str) -> Path:
        """Return `path`, which must exist.

        Raises:
            ConfigurationError: no path was given, or nothing is there.
        """
        if self.path is None:
            raise ConfigurationError(f"path: not given; the source {source!r} needs --path")
        path = self.path.expanduser()
        if not path.exists():
            raise ConfigurationError(f"path: {path} does not exist; give the file or folder that the source {source!r} reads")
        return path


def parse_duration(text: str) -> timedelta:
    """Return a duration written as a number with its unit: s, m, h, d or w.

    >>> parse_duration("6h")
    datetime.timedelta(seconds=21600)
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"history: {text!r} is no duration; write a number with its unit, for example 6h or 7d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ConfigurationError: it is not known.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"time_zone: {name!r} is not known; give an IANA name, for example Europe/Berlin or UTC"
        ) from error


def _defaults() -> SourceOptions:
    return SourceOptions()
