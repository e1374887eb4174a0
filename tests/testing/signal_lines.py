"""Entries with log lines for the stage that makes series of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from data_contracts.schemas.wire_schemas import LOGS
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import microseconds_of
from serving.signal_minutes.tenant_minutes import MINUTE_US
from serving.stream import streams

START_US = microseconds_of(datetime(2026, 3, 2, 12, tzinfo=UTC))
SECOND_US = 1_000_000


def line_rows(lines: Sequence[tuple[int, str, str]]) -> pa.Table:
    """Return rows of `LOGS`: (event time in us, service, body)."""
    rows = [
        {
            "timestamp": at_us,
            "log_id": number,
            "service": service,
            "severity": "",
            "severity_number": 17 if "error" in body else 9,
            "body": body,
            **dict.fromkeys(("event", "trace_id", "span_id")),
            **dict.fromkeys(("scope", "attributes", "resource"), ""),
            "available_at": at_us,
        }
        for number, (at_us, service, body) in enumerate(lines)
    ]
    return pa.Table.from_pylist(rows, schema=LOGS)


def line_entry(
    number: int, lines: Sequence[tuple[int, str, str]], tenant: str = DEFAULT_TENANT, late_s: int = 1
) -> streams.Entry:
    """Return an entry that arrived `late_s` after its newest line."""
    arrived_us = max(at_us for at_us, _, _ in lines) + late_s * SECOND_US
    return streams.Entry(
        f"{number}-0", streams.KIND_LOGS, streams.to_ipc(line_rows(lines)), arrived_us * 1000, arrived_us, tenant
    )


def minute(number: int) -> int:
    """Return the start of a minute of the tests, in us."""
    return START_US + number * MINUTE_US


def points_of(tables: Sequence[pa.Table]) -> list[tuple[int, str, dict[str, str], float]]:
    """Return (minute, service, labels, value) of series, in order."""
    rows: list[dict[str, Any]] = [row for table in tables for row in table.to_pylist()]
    return [
        ((microseconds_of(row["timestamp"]) - START_US) // MINUTE_US - 1, row["service"], dict(row["labels"]), row["value"])
        for row in rows
    ]
