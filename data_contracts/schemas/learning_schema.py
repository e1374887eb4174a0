"""The tables that say when to learn again: verdicts of people, checks for drift."""

from typing import Final

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import NAME, TIMESTAMP


def _field(name: str, kind: pa.DataType, nullable: bool = False, meaning: str = "") -> "pa.Field[pa.DataType]":
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning} if meaning else None)


VERDICTS: Final = pa.schema(
    [
        _field("given_at", TIMESTAMP),
        _field("detection_id", NAME),
        _field("right", pa.bool_(), meaning="worth a page; false = false alarm"),
        _field(
            "incident_id", NAME, nullable=True, meaning="whose verdict it was: all its rows are one word; null = given singly"
        ),
    ],
    metadata={"name": "verdicts", "version": "2"},
)
"""What people said of detections. Version 1 had no `incident_id`."""

DRIFT_CHECKS: Final = pa.schema(
    [
        _field("checked_at", TIMESTAMP, meaning="wall clock"),
        _field("check_id", NAME),
        _field("at", TIMESTAMP, meaning="event time: rows served up to here were compared"),
        _field("since", TIMESTAMP, meaning="start of the compared window"),
        _field("model", NAME),
        _field("model_version", NAME),
        _field("checked", pa.bool_(), meaning="false = too little to compare; reason says what"),
        _field("drifted", pa.bool_()),
        _field("share", pa.float64(), meaning="of drifted columns, 0..1"),
        _field("reason", NAME),
        _field("report", NAME, meaning="path of the HTML report, empty where there is none"),
    ],
    metadata={"name": "drift_checks", "version": "1"},
)
"""Each check for drift, and what it found."""
