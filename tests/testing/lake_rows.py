"""Rows for tests of the lake, whatever the present version of the telemetry contract."""

from datetime import datetime, timedelta

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.telemetry.validate import validate


def accepted(at: datetime, service: str, value: float, metric: str = "saturation_probe") -> pa.RecordBatch:
    """Return one accepted point."""
    cells = {"service": [service], "metric": [metric], "value": pa.array([value], pa.float64())}
    raw = pa.table({"timestamp": pa.array([at], TIMESTAMP), **cells})
    return validate(raw, at + timedelta(days=1)).accepted
