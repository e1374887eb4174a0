"""The one table of sources: name -> where its factory is and which options it reads. Nothing is imported before it is used."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from aiops.errors import ConfigurationError
from aiops.ports import TelemetrySource
from serving.ingest.pull.source_options import SourceOptions

if TYPE_CHECKING:
    from serving.ingest.pull.prometheus_live import LivePrometheus

Factory = Callable[[SourceOptions], TelemetrySource]


@dataclass(frozen=True, slots=True)
class Entry:
    """One source: `target` is "module:factory"; `reads` the options that mean something to it."""

    target: str
    reads: frozenset[str]


_TRUTH: Final = frozenset({"incidents", "edges", "changes"})
"""Files beside the telemetry; encoding and delimiter are theirs too."""
_TIMES: Final = {"time_unit", "time_format", "time_zone"}
_TABULAR: Final = _TRUTH | _TIMES | {"path", "columns", "form", "service", "series", "history_share", "encoding", "delimiter"}
_TEXT: Final = {"decimal", "thousands"}
SOURCES: Final[dict[str, Entry]] = {
    "simulate": Entry(
        "serving.ingest.pull.simulate:open_simulate",
        frozenset(
            {
                "seed",
                "services",
                "hours",
                "step_s",
                "start",
                "incidents_per_day",
                "drift",
                "history_share",
                "traces_per_min",
                "gray_per_day",
            }
        ),
    ),
    "csv": Entry("serving.ingest.pull.csv_file:open_csv", _TABULAR | _TEXT),
    "parquet": Entry("serving.ingest.pull.parquet_file:open_parquet", _TABULAR),
    "nezha": Entry("serving.ingest.pull.nezha:open_nezha", frozenset({"path"})),
    "petshop": Entry("serving.ingest.pull.petshop:open_petshop", frozenset({"path"})),
    "nab": Entry("serving.ingest.pull.nab:open_nab", frozenset({"path"})),
    "prometheus": Entry(
        "serving.ingest.pull.prometheus:open_prometheus",
        _TRUTH
        | {
            "encoding",
            "delimiter",
            "url",
            "queries",
            "start",
            "end",
            "step_s",
            "token",
            "service_label",
            "partial",
            "timeout_s",
            "retries",
            "history_share",
        },
    ),
}


LIVE: Final[dict[str, Entry]] = {
    "prometheus": Entry(
        "serving.ingest.pull.prometheus_live:open_live",
        (SOURCES["prometheus"].reads - {"start", "end", "history_share"}) | {"history", "overlap_s", "delay_s"},
    ),
}
"""Sources that can be followed: opened without `start` and `end`, by `aiops up` alone."""
LISTENED: Final = ("otlp", "remote-write")
"""Sources that send by themselves: the receiver takes them in, nothing is read."""


def open_live(name: str, options: SourceOptions) -> "LivePrometheus":
    """Return the source called `name`, to be followed.

    Raises:
        ConfigurationError: an option that it does not read, or one that it cannot use.
    """
    return cast("Callable[[SourceOptions], LivePrometheus]", _factory(name, LIVE[name], options))(options)


def open_source(name: str, options: SourceOptions) -> TelemetrySource:
    """Return the source called `name`.

    Raises:
        ConfigurationError: no such source, an option that it does not read, or one that it cannot use.
    """
    entry = SOURCES.get(name)
    if name in LISTENED:
        raise ConfigurationError(
            f"source: {name!r} sends by itself, there is nothing to read; start `aiops up --source {name}` and point it there"
        )
    if entry is None:
        raise ConfigurationError(
            f"source: {name!r} is not known; choose one of {', '.join(SOURCES)}; of `aiops up` also {' or '.join(LISTENED)}"
        )
    return cast(Factory, _factory(name, entry, options))(options)


def _factory(name: str, entry: Entry, options: SourceOptions) -> object:
    ignored = sorted(options.given() - entry.reads)
    if ignored:
        reads = ", ".join(sorted(entry.reads))
        raise ConfigurationError(f"{ignored[0]}: the source {name!r} does not read this option; it reads {reads}")
    module, _, factory = entry.target.partition(":")
    return getattr(import_module(module), factory)
