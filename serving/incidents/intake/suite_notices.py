"""Notices of the suite's own processes (a source is silent, a label explodes) as alerts, like those of other systems."""

from typing import Any, Final

import pyarrow as pa

from aiops.incidents.alert import Alert
from serving.incidents.intake.received_alerts import AlertFields, alert_of_fields, severity_of

SOURCE: Final = "aiops"
SUBJECT: Final = "subject"


def alerts_of_notices(rows: pa.Table) -> tuple[Alert, ...]:
    """Return one alert a row of schema `NOTICES`; the same rows always give the same alerts."""
    return tuple(_alert(row) for row in rows.to_pylist())


def _alert(row: dict[str, Any]) -> Alert:
    fields = AlertFields(
        row["service"],
        row["name"],
        severity_of(row["severity"]),
        resolved=row["ends_at"] is not None,
        labels={SUBJECT: row["subject"]} if row["subject"] else {},
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        notes={"summary": row["text"]},
        until_ended=True,
    )
    return alert_of_fields(fields, SOURCE, row["timestamp"])
