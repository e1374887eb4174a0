"""Points of telemetry series that minutes of logs and spans give: stamped with the end of the minute, known from then on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from aiops.signals.minute_cells import MINUTE_US
from data_contracts.schemas.arrow_columns import column, table
from data_contracts.schemas.telemetry_schemas import NAME, TIMESTAMP

MINUTE_SERIES: Final = table(
    "minute_series",
    1,
    column("timestamp", TIMESTAMP, meaning="end of the minute: its value is known from then on"),
    column("service", NAME),
    column("metric", NAME),
    column("labels", pa.map_(pa.string(), pa.string())),
    column("value", pa.float64()),
)
"""What minutes of logs and spans say, as the contract of telemetry takes it: all are gauges."""
MINUTE_S: Final = MINUTE_US / 1e6


@dataclass(frozen=True, slots=True)
class MinutePoint:
    """The value of a series in a minute (its number since 1970 UTC); `label` = key and value, empty = none."""

    minute: int
    service: str
    metric: str
    value: float
    label: tuple[str, ...] = ()


def table_of(points: Sequence[MinutePoint]) -> pa.Table:
    """Return points as `MINUTE_SERIES`, in their order."""
    columns: list[Any] = [
        pa.array([(point.minute + 1) * MINUTE_US for point in points], pa.int64()).cast(TIMESTAMP),
        pa.array([point.service for point in points], pa.string()),
        pa.array([point.metric for point in points], pa.string()),
        pa.array([[point.label] if point.label else [] for point in points], pa.map_(pa.string(), pa.string())),
        pa.array([point.value for point in points], pa.float64()),
    ]
    return pa.table(columns, schema=MINUTE_SERIES)
