"""Anomalies put into telemetry on demand, each with its truth row: one value, a value at the wrong time, or a pattern.

Kinds: Chandola, Banerjee & Kumar, "Anomaly detection: a survey" (ACM Computing Surveys 2009), section 2.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ConfigurationError
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import spec_of
from data_contracts.schemas.truth_schemas import ANOMALY_TRUTH
from data_contracts.series.text import text_of
from data_contracts.values.moments import microseconds_of

AnomalyShape = Literal["spike", "displaced", "stuck", "sustained"]
SHAPES: Final[tuple[AnomalyShape, ...]] = get_args(AnomalyShape)
KIND_OF: Final[dict[AnomalyShape, str]] = {
    "spike": "point",
    "displaced": "contextual",
    "stuck": "collective",
    "sustained": "collective",
}
_SUSTAINED_SHARE: Final = 0.05
_SPREAD_SHARES: Final = (0.01, 0.99)


@dataclass(frozen=True, slots=True)
class InjectedAnomaly:
    """One anomaly of one series in start <= t < start + duration.

    - spike (point): `size` times the series' usual range (1 % to 99 % of its earlier values) is added.
    - displaced (contextual): the values of `earlier_h` hours before: each was normal, but not at this time of day.
    - stuck (collective): the last value before the window, again and again.
    - sustained (collective): values among the highest 5 % of the earlier ones, in turn: each has been seen, never so many.
    """

    shape: AnomalyShape
    service: str
    metric: str
    start: datetime
    duration_min: float
    size: float = 1.5
    earlier_h: float = 12.0

    def __post_init__(self) -> None:
        self._require(self.shape in SHAPES, "shape", f"be one of {', '.join(SHAPES)}")
        self._require(self.start.tzinfo is not None, "start", "be an aware time")
        self._require(0 < self.duration_min <= 1440, "duration_min", "be above 0 and at most 1440")
        self._require(np.isfinite(self.size) and self.size != 0, "size", "be finite and not 0")
        self._require(60 * self.earlier_h >= self.duration_min, "earlier_h", "be at least as long as the anomaly")

    @property
    def end(self) -> datetime:
        """Return the end of the window, exclusive."""
        return self.start + timedelta(minutes=self.duration_min)

    def _require(self, holds: bool | np.bool_, name: str, rule: str) -> None:
        if not holds:
            raise ConfigurationError(f"anomaly: {name}={getattr(self, name)!r} must {rule}; change {name}")


def with_anomalies(telemetry: pa.Table, anomalies: Sequence[InjectedAnomaly]) -> pa.Table:
    """Return the telemetry (timestamp, service, metric, value, …; a series' rows ascending in time) with the anomalies in it.

    Nothing but values within the windows changes, and they stay within the metric's range. Deterministic; one pass an anomaly.

    Raises:
        ConfigurationError: a series, its window or what comes before it is not in the telemetry.
    """
    values: FloatArray = np.array(telemetry["value"].combine_chunks().to_numpy(zero_copy_only=False), dtype=np.float64)
    times: IntArray = telemetry["timestamp"].combine_chunks().cast(pa.int64()).to_numpy()
    series = [np.array(telemetry[name].combine_chunks().cast(pa.string()).to_pylist()) for name in ("service", "metric")]
    for anomaly in anomalies:
        rows = np.flatnonzero((series[0] == anomaly.service) & (series[1] == anomaly.metric))
        _put(anomaly, times[rows], values, rows)
    place = telemetry.schema.get_field_index("value")
    return telemetry.set_column(place, telemetry.schema.field(place), pa.array(values))


def anomalies_table(anomalies: Sequence[InjectedAnomaly]) -> pa.Table:
    """Return `truth_schemas.ANOMALY_TRUTH` in order of start, service, metric."""
    rows = [
        {
            "service": anomaly.service,
            "metric": anomaly.metric,
            "anomaly": KIND_OF[anomaly.shape],
            "shape": anomaly.shape,
            "starts_at": anomaly.start,
            "ends_at": anomaly.end,
        }
        for anomaly in sorted(anomalies, key=lambda anomaly: (anomaly.start, anomaly.service, anomaly.metric))
    ]
    return pa.Table.from_pylist(rows, schema=ANOMALY_TRUTH)


def _put(anomaly: InjectedAnomaly, times: IntArray, values: FloatArray, rows: IntArray) -> None:
    """Write one anomaly to `values` at `rows`, the rows of its series, whose times are `times`."""
    first, last = microseconds_of(anomaly.start), microseconds_of(anomaly.end)
    inside = (times >= first) & (times < last)
    earlier: FloatArray = values[rows[times < first]]
    name = text_of(anomaly.service, anomaly.metric, "")
    if not inside.any() or not earlier.size:
        raise ConfigurationError(
            f"anomaly: series {name!r} has {int(inside.sum())} points from {anomaly.start} to {anomaly.end} and {earlier.size} "
            "before; both are needed. Name a series of the telemetry and a later start"
        )
    spec = spec_of(anomaly.metric)
    new = _values(anomaly, _Course(times, values[rows]), inside, earlier)
    values[rows[inside]] = np.clip(new, spec.low, spec.high)


class _Course(NamedTuple):
    """A whole series, (n,) each."""

    times: IntArray
    values: FloatArray


def _values(anomaly: InjectedAnomaly, series: _Course, inside: npt.NDArray[np.bool_], earlier: FloatArray) -> FloatArray:
    """Return the values of the window (m,)."""
    times, values = series.times, series.values
    count = int(inside.sum())
    if anomaly.shape == "spike":
        low, high = np.quantile(earlier, _SPREAD_SHARES)
        return np.asarray(values[inside] + anomaly.size * (high - low))
    if anomaly.shape == "stuck":
        return np.full(count, earlier[-1])
    if anomaly.shape == "sustained":
        highest = np.sort(earlier)[-max(2, int(_SUSTAINED_SHARE * earlier.size)) :]
        return np.asarray(highest[(np.arange(count) * 7919) % highest.size])
    source = np.searchsorted(times, times[inside] - int(anomaly.earlier_h * 3_600_000_000))
    if source[0] == 0 and times[0] > times[inside][0] - int(anomaly.earlier_h * 3_600_000_000):
        raise ConfigurationError(
            f"anomaly: earlier_h={anomaly.earlier_h}: the telemetry begins later than that before {anomaly.start}; start later"
        )
    return np.asarray(values[source])
