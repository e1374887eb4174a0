"""The table of what each series is like."""

from typing import Any, Final

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import LABELS_MEANING, NAME, TIMESTAMP


def _number(name: str, meaning: str, **metadata: str) -> "pa.Field[pa.DataType]":
    return pa.field(name, pa.float64(), metadata={"meaning": meaning, **metadata})


_FIELDS: Final[list[Any]] = [
    pa.field("measured_at", TIMESTAMP, nullable=False, metadata={"meaning": "event time: only points before it were looked at"}),
    pa.field("series_id", pa.int64(), nullable=False),
    pa.field("service", NAME, nullable=False),
    pa.field("metric", NAME, nullable=False, metadata={"meaning": "without labels"}),
    pa.field("labels", NAME, nullable=False, metadata={"meaning": LABELS_MEANING}),
    pa.field("points", pa.int64(), nullable=False, metadata={"meaning": "looked at"}),
    _number("step_s", "median time between points", unit="s"),
    _number(
        "seasonality",
        "share of the variation within days that the other days' profile explains; null = under two days",
        range="0..1",
    ),
    _number("intermittence", "share of the time without a point, or at 0", range="0..1"),
    _number("noise", "robust spread from point to point over the level; null = level 0"),
    _number("lowest", "no point is lower"),
    _number("low_0_1pct", "0.1 % of its points are lower"),
    _number("low_1pct", "1 % of its points are lower"),
    _number("high_1pct", "1 % of its points are higher"),
    _number("high_0_1pct", "0.1 % of its points are higher"),
    _number("highest", "no point is higher"),
]
SERIES_CHARACTER: Final = pa.schema(_FIELDS, metadata={"name": "series_character", "version": "2"})
"""What the history of each series is like: routing and explanations read it."""
