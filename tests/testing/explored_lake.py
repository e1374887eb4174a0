"""A lake with a day of two services: points, a catalogue, bands of a night and detections, each in the name of its tenant."""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY, TIMESTAMP
from data_contracts.series.key import SeriesKey, labels_text
from data_contracts.series.series_name import SeriesName
from serving.lake.port import Lake
from serving.online.seasonal_bands import band_rows
from tests.testing.season_bands import flat_bands
from tests.testing.signal_entries import catalogue
from tests.testing.stream_rows import detections

NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
LABELS: Final = (("zone", "a"),)


def latency(tenant: str) -> SeriesKey:
    """Return a series that only its points tell of."""
    return SeriesKey(tenant, "cart", "latency_p99_ms", LABELS)


def requests(tenant: str) -> SeriesKey:
    """Return a series that a receiver defined."""
    return SeriesKey(tenant, "web", "requests_total", LABELS)


def stored(key: SeriesKey, times: list[datetime], values: list[float]) -> pa.Table:
    """Return points as the lake keeps them."""
    count = len(times)
    texts = {"service": key.service, "metric": key.metric, "labels": labels_text(key.labels)}
    cells = {
        "timestamp": pa.array(times, TIMESTAMP),
        "series_id": pa.repeat(key.series_id, count),
        **{name: pa.repeat(text, count) for name, text in texts.items()},
        "value": pa.array(values, pa.float64()),
        "available_at": pa.array(times, TIMESTAMP),
    }
    return pa.table(cells, schema=LAKE_TELEMETRY)


def fill(lake: Lake, level: float = 100.0) -> None:
    """Fill the lake of a tenant with the twelve hours before noon and the same of the day before, which lay 10 higher."""
    key, name = latency(lake.tenant), SeriesName(latency(lake.tenant).series_id, "cart", "latency_p99_ms", labels_text(LABELS))
    ticks = [NOON - timedelta(seconds=10 * number) for number in range(12 * 360, 0, -1)]
    wave = (level + np.sin(np.arange(len(ticks)) / 50)).tolist()
    earlier = [tick - timedelta(days=1) for tick in ticks]
    lake.add("telemetry", stored(key, ticks, wave))
    lake.add("telemetry", stored(key, earlier, [value + 10 for value in wave]))
    lake.add("telemetry", stored(requests(lake.tenant), ticks[-360:], wave[-360:]))
    lake.add("series", catalogue([requests(lake.tenant)]))
    lake.write("seasonal_bands", band_rows([flat_bands(name.text, NOON - timedelta(hours=6))], [name], NOON), "night")
    at = NOON - timedelta(hours=1)
    rows = detections(
        {"timestamp": at, "series_id": key.series_id, "reason": "first word"},
        {"timestamp": at, "series_id": key.series_id, "detection_id": "d0", "revision": 1, "reason": "last word"},
        {"timestamp": at, "metric": "errors", "series_id": 7},
        {"timestamp": at, "anomalous": False},
    )
    lake.add("detections", rows)
