"""Synthetic service vectors whose structure is known: resources that run full before some incidents, anomalies during all."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import INCIDENTS, SERVICE_FEATURES, TIMESTAMP

START = datetime(2025, 3, 3, tzinfo=UTC)
STEP_MIN = 5


@dataclass(frozen=True)
class History:
    """`frame`: service, event_timestamp and features; `incidents`: schema INCIDENTS; every third strikes without warning."""

    frame: pa.Table
    incidents: pa.Table


def history(days: int = 6, services: int = 3, seed: int = 1, every_h: float = 7.0) -> History:
    """Return rows every 5 min of `services`, with one incident each `every_h` hours at services in turn."""
    rng = np.random.default_rng(seed)
    ticks = days * 24 * 60 // STEP_MIN
    minutes = np.arange(ticks) * STEP_MIN
    values = rng.normal(0.15, 0.05, (services, ticks, len(SERVICE_FEATURES)))
    column = {name: place for place, name in enumerate(SERVICE_FEATURES)}
    values[:, :, column["minutes_to_limit"]] = 1440.0
    values[:, :, column["saturation_level"]] = 0.4 + rng.normal(0, 0.02, (services, ticks))
    values[:, :, column["hour"]] = minutes // 60 % 24
    values[:, :, column["weekday"]] = minutes // 1440 % 7
    rows = []
    starts = np.arange(every_h * 60, days * 1440 - 60, every_h * 60)
    for number, start in enumerate(starts.tolist()):
        service, foreseen = number % services, number % 3 != 2
        begin = start - 120 if foreseen else start
        rising = (minutes >= begin) & (minutes < start)
        if foreseen:
            left = start - minutes[rising]
            values[service, rising, column["minutes_to_limit"]] = left * rng.uniform(0.9, 1.1, left.size)
            values[service, rising, column["saturation_level"]] = 1.0 - left / 240.0
        during = (minutes >= start) & (minutes < start + 30)
        for name in ("errors_worst", "latency_worst", "saturation_worst", "abnormal_share"):
            values[service, during, column[name]] = 0.95
        rows.append(_incident(number, f"s{service}", "memory_leak" if foreseen else "bad_deployment", begin, start))
    return History(_frame(values, minutes, services), pa.Table.from_pylist(rows, schema=INCIDENTS))


def _incident(number: int, service: str, kind: str, onset_min: float, start_min: float) -> dict[str, object]:
    onset, start = START + timedelta(minutes=onset_min), START + timedelta(minutes=start_min)
    end = start + timedelta(minutes=30)
    times = {"onset_at": onset, "starts_at": start, "ends_at": end, "known_at": end}
    return {"incident_id": f"i{number}", "service": service, "kind": kind, **times}


def _frame(values: np.ndarray, minutes: np.ndarray, services: int) -> pa.Table:
    """Return rows in order of time, then service."""
    ticks = minutes.size
    times = np.repeat(int(START.timestamp() * 1e6) + minutes * 60_000_000, services)
    flat = values.transpose(1, 0, 2).reshape(ticks * services, -1)
    names = pa.array([f"s{number}" for number in range(services)] * ticks)
    columns = {name: pa.array(flat[:, place]) for place, name in enumerate(SERVICE_FEATURES)}
    return pa.table({"service": names, "event_timestamp": pa.array(times).cast(TIMESTAMP), **columns})
