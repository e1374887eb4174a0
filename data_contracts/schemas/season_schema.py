"""The table of seasonal bands: expected value and bounds of one series for the hours to come, a list of slots a line."""

from typing import Final

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import LABELS_MEANING, NAME, TIMESTAMP

BAND_LIST: Final = pa.list_(pa.float64())
BAND_FEATURES: Final[tuple[str, ...]] = (
    "starts_us",
    "slot_s",
    "expected",
    "lower",
    "upper",
    "tail",
    "strength",
    "model",
    "status",
)
"""What the online store holds of a series' seasonal bands."""


def _field(name: str, kind: pa.DataType, meaning: str, nullable: bool = False) -> "pa.Field[pa.DataType]":
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


SEASONAL_BANDS: Final = pa.schema(
    [
        _field("event_timestamp", TIMESTAMP, "the bands hold from here on; only points before it were used"),
        _field("available_at", TIMESTAMP, "when the row could be known; the time of point-in-time joins"),
        _field("series", NAME, "the one text form of a series, `series.text`: the join key"),
        _field("series_id", pa.int64(), "of the series"),
        _field("service", NAME, "of the series"),
        _field("metric", NAME, "of the series, without labels"),
        _field("labels", NAME, LABELS_MEANING),
        _field("starts_us", pa.int64(), "event_timestamp in microseconds since 1970: the time of the first slot"),
        _field("slot_s", pa.float64(), "seconds from slot to slot; between two slots the band is a straight line"),
        *(_field(name, BAND_LIST, "a slot each; null = unknown", True) for name in ("expected", "lower", "upper")),
        _field(
            "tail",
            BAND_LIST,
            "distance, bound = 1, that each of aiops.features.bands.TAIL_SHARES of the history went beyond",
            True,
        ),
        _field("strength", pa.float64(), "how much smaller the season's error is on held-out days, 0..1; null = unknown", True),
        _field("model", NAME, "that made them: seasonal-profile, prophet, mstl or auto-arima"),
        _field("status", NAME, "established, or why the season is not"),
    ],
    metadata={"name": "seasonal_bands", "version": "2"},
)
"""What each series is expected to do in the hours to come, made every night."""
