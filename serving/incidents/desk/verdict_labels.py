"""Labels of verdicts in the lake: incidents for the predictor and the labelled detectors, detections that were right or false.

Each incident has a file of its own in both tables, so writing again replaces, also where a verdict was corrected.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa

from aiops.incidents.feedback.facts import Judged
from aiops.incidents.feedback.verdict_labels import KIND, detections_of, label_of
from data_contracts.schemas.learning_schema import VERDICTS
from data_contracts.schemas.telemetry_schemas import INCIDENTS
from serving.lake.port import Lake

_SCHEMAS: Final = {"incidents": (INCIDENTS, "verdict"), "verdicts": (VERDICTS, "incident")}
"""Table: its schema, and what the keys of its files begin with."""
Rows = dict[str, list[dict[str, Any]]]


def write_labels(lake: Lake, judged: Iterable[Judged]) -> int:
    """Write what verdicts say of their incidents and detections; return for how many incidents the lake held anything else."""
    stored = {table: _held(lake, table) for table in _SCHEMAS}
    changed = 0
    for incident in judged:
        incident_id = incident.facts.incident_id
        labels = {"incidents": _incident_rows(incident), "verdicts": _verdict_rows(incident)}
        stale = [table for table, rows in labels.items() if stored[table].get(incident_id, []) != rows]
        for table in stale:
            schema, prefix = _SCHEMAS[table]
            lake.write(table, pa.Table.from_pylist(labels[table], schema=schema), f"{prefix}-{incident_id}")
        changed += bool(stale)
    return changed


def _incident_rows(judged: Judged) -> list[dict[str, Any]]:
    label = label_of(judged)
    return [] if label is None else [asdict(label)]


def _verdict_rows(judged: Judged) -> list[dict[str, Any]]:
    fixed = {"given_at": judged.verdict.given_at, "incident_id": judged.facts.incident_id}
    return [{**fixed, "detection_id": name, "right": right} for name, right in sorted(detections_of(judged).items())]


def _held(lake: Lake, table: str) -> Rows:
    """Return the rows that came from verdicts on incidents, by incident."""
    rows: Rows = {}
    for row in sorted(lake.read(table).to_pylist(), key=lambda label: str(label.get("detection_id"))):
        if row["incident_id"] is not None and row.get("kind", KIND) == KIND:
            rows.setdefault(row["incident_id"], []).append(row)
    return rows
