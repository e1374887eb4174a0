"""Raw values of a small world as receivers send them: definitions, totals, amounts, gauges, classic and whole histograms."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from aiops.normalise.definitions import Definitions, read_definitions
from aiops.normalise.kinds import SampleShape, role_of
from aiops.normalise.normaliser import Normaliser, NormaliserConfig, RawHistograms, RawPoints
from aiops.normalise.raw_series import NEVER_US, STALE_BITS
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import SERIES_DEFINITIONS, WIRE_HISTOGRAMS, WIRE_POINTS
from data_contracts.series.key import SeriesKey, labels_text
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream import streams

START_US = 1_772_409_600_000_000
"""2026-03-02."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
STALE = float(np.array([STALE_BITS], np.int64).view(np.float64)[0])
LATER = START_US + 10**15


@dataclass(frozen=True, slots=True)
class Raw:
    """One raw series: what defines it."""

    key: SeriesKey
    role: str
    why: str = "declared by the sender: gauge"
    family: int | None = None
    bound: float | None = None

    @property
    def row(self) -> dict[str, object]:
        """Return its row of SERIES_DEFINITIONS."""
        return {
            "series_id": self.key.series_id,
            "service": self.key.service,
            "metric": self.key.metric,
            "labels": labels_text(self.key.labels),
            "role": self.role,
            "family_id": self.family,
            "bound": self.bound,
            "unit": None,
            "why": self.why,
        }


def raw(metric: str, role: str, service: str = "web", **labels: str) -> Raw:
    """Return a raw series that is no part of a histogram."""
    return Raw(SeriesKey.of(DEFAULT_TENANT, service, metric, labels), role, f"declared by the sender: {role}")


def classic(base: str, bounds: Sequence[float], service: str = "web") -> list[Raw]:
    """Return the parts of a classic histogram: its buckets, sum and count."""
    family = SeriesKey.of(DEFAULT_TENANT, service, base).series_id
    parts = []
    for bound in bounds:
        key = SeriesKey.of(DEFAULT_TENANT, service, f"{base}_bucket", {"le": "+Inf" if np.isinf(bound) else f"{bound:g}"})
        role = role_of(key.metric, shape=SampleShape(has_le=True))
        parts.append(Raw(key, role.role, role.why, family, bound))
    for suffix in ("_sum", "_count"):
        role = role_of(base + suffix)
        parts.append(Raw(SeriesKey.of(DEFAULT_TENANT, service, base + suffix), role.role, role.why, family))
    return parts


def definition_table(series: Sequence[Raw]) -> pa.Table:
    """Return the definitions of series as a table."""
    return pa.Table.from_pylist([each.row for each in series], schema=SERIES_DEFINITIONS)


def definitions(series: Sequence[Raw]) -> Definitions:
    """Return the definitions of series."""
    return read_definitions(definition_table(series), DEFAULT_TENANT)


@dataclass(frozen=True, slots=True)
class Sample:
    """One raw value: of which series, when, what, and since when; a histogram with bounds and counts in place of a value.

    `clock_us`: when it arrived.
    """

    series: Raw
    time_us: int
    value: float
    start_us: int = NEVER_US
    upper: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    clock_us: int = 0


def raw_points(samples: Sequence[Sample]) -> RawPoints:
    """Return values as columns."""
    starts = np.array([sample.start_us for sample in samples], np.int64)
    return RawPoints(
        np.array([sample.time_us for sample in samples], np.int64),
        np.array([sample.series.key.series_id for sample in samples], np.int64),
        np.array([sample.value for sample in samples], np.float64),
        starts if (starts != NEVER_US).any() else np.zeros(0, np.int64),
    )


def raw_histograms(samples: Sequence[Sample]) -> RawHistograms:
    """Return whole histograms as columns: `value` is the sum, the count that of the buckets."""
    return RawHistograms(
        np.array([sample.time_us for sample in samples], np.int64),
        np.array([sample.series.key.series_id for sample in samples], np.int64),
        np.array([sample.start_us for sample in samples], np.int64),
        np.array([float(sum(sample.counts)) for sample in samples]),
        np.array([sample.value for sample in samples]),
        np.cumsum([0, *(len(sample.upper) for sample in samples)], dtype=np.int64),
        np.array([bound for sample in samples for bound in sample.upper], np.float64),
        np.array([count for sample in samples for count in sample.counts], np.float64),
    )


@dataclass(slots=True)
class Run:
    """A normaliser at work: points by (service|metric{labels}, time us), and what became of each raw row."""

    normaliser: Normaliser
    points: list[tuple[str, int, float]] = field(default_factory=list)
    status: list[int] = field(default_factory=list)

    @classmethod
    def new(cls, lateness_s: int = 30, max_series: int = 1000) -> "Run":
        """Return one that has seen nothing."""
        return cls(Normaliser(NormaliserConfig(DEFAULT_TENANT, max_series, lateness_s * SECOND)))

    def define(self, series: Sequence[Raw]) -> "Run":
        """Define series."""
        self.normaliser.define(definitions(series), START_US)
        return self

    def send(self, *samples: Sample) -> "Run":
        """Take samples in, in their order."""
        begin = 0
        while begin < len(samples):
            whole, clock_us = samples[begin].series.role.startswith("histogram"), samples[begin].clock_us
            end = begin
            while end < len(samples) and (samples[end].series.role.startswith("histogram"), samples[end].clock_us) == (
                whole,
                clock_us,
            ):
                end += 1
            self._send(samples[begin:end], whole)
            begin = end
        return self

    def close(self, until_us: int) -> "Run":
        """Close histograms."""
        self._keep(self.normaliser.close_through(until_us))
        return self

    def _send(self, samples: Sequence[Sample], whole: bool) -> None:
        if whole:
            self._keep(self.normaliser.histograms(raw_histograms(samples), LATER, samples[0].clock_us))
        else:
            self._keep(self.normaliser.points(raw_points(samples), LATER, samples[0].clock_us))

    def _keep(self, made: "object") -> None:
        from aiops.normalise.normaliser import Normalised

        assert isinstance(made, Normalised)
        self.status += made.status.tolist()
        names = [name.text for name in made.points.names(np.arange(len(made.points)))]
        self.points += list(zip(names, made.points.time_us.tolist(), made.points.value.tolist(), strict=True))


def points_payload(samples: Sequence[Sample]) -> bytes:
    """Return values as the payload of an entry of kind `w`."""
    columns = raw_points(samples)
    starts = [None if sample.start_us == NEVER_US else sample.start_us for sample in samples]
    table = pa.table(
        {
            "timestamp": pa.array(columns.time_us, pa.int64()).cast(TIMESTAMP),
            "series_id": pa.array(columns.series_id),
            "value": pa.array(columns.value),
            "started_at": pa.array(starts, pa.int64()).cast(TIMESTAMP),
        },
        schema=WIRE_POINTS,
    )
    return streams.to_ipc(table)


def histograms_payload(samples: Sequence[Sample]) -> bytes:
    """Return whole histograms as the payload of an entry of kind `h`."""
    columns = raw_histograms(samples)
    starts = [None if sample.start_us == NEVER_US else sample.start_us for sample in samples]
    table = pa.table(
        {
            "timestamp": pa.array(columns.time_us, pa.int64()).cast(TIMESTAMP),
            "series_id": pa.array(columns.series_id),
            "started_at": pa.array(starts, pa.int64()).cast(TIMESTAMP),
            "count": pa.array(columns.observed),
            "sum": pa.array(columns.total),
            "upper": [list(sample.upper) for sample in samples],
            "counts": [list(sample.counts) for sample in samples],
        },
        schema=WIRE_HISTOGRAMS,
    )
    return streams.to_ipc(table)


def received_entry(number: int, samples: Sequence[Sample], available_us: int) -> streams.Entry:
    """Return samples, all values or all whole histograms, as an entry."""
    whole = samples[0].series.role.startswith("histogram")
    kind, payload = (streams.KIND_HISTOGRAMS, histograms_payload) if whole else (streams.KIND_POINTS, points_payload)
    return streams.Entry(f"{number}-0", kind, payload(samples), 0, available_us)


def definition_entry(number: int, series: Sequence[Raw], available_us: int) -> streams.Entry:
    """Return definitions as an entry."""
    return streams.Entry(f"{number}-0", streams.KIND_DEFINITIONS, streams.to_ipc(definition_table(series)), 0, available_us)
