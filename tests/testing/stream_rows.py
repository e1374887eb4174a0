"""Rows of the streams that the responder reads: detections and predictions of a service that is slow."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa

from data_contracts.schemas import telemetry_schemas

START = datetime(2026, 3, 2, tzinfo=UTC)


def detections(*rows: Mapping[str, object]) -> pa.Table:
    """Return detections as the consumer writes them; each row changes what it names."""
    defaults = {"revision": 0, "timestamp": START, "service": "cart", "metric": "latency_p99_ms", "value": 900.0, "score": 0.95}
    defaults |= {"lower": 100.0, "upper": 300.0, "tier": 1, "model_version": "", "anomalous": True, "reason": "z = 12"}
    made = [{"detection_id": f"d{number}", **defaults, **row} for number, row in enumerate(rows)]
    return pa.Table.from_pylist(made, schema=telemetry_schemas.DETECTIONS)


def predictions(*rows: Mapping[str, object]) -> pa.Table:
    """Return predictions as the consumer writes them; each row changes what it names."""
    defaults = {"timestamp": START, "service": "cart", "p_5min": 0.2, "p_15min": 0.6, "p_60min": 0.9, "alarm": True}
    made = [{**defaults, "model_version": "3", "reason": "", **row} for row in rows]
    return pa.Table.from_pylist(made, schema=telemetry_schemas.PREDICTIONS)
