"""Log lines read as a receiver reads them, and the rows that the lake would keep."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import REJECTED
from data_contracts.schemas.wire_schemas import LOGS
from serving.ingest.receive.signals.lines.log_lines import LineForm, accept_log_lines
from serving.ingest.receive.signals.signal_outcome import SignalIntake, SignalOutcome
from serving.lake.lake_tables import LakeTable, conformed
from serving.stream import streams

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTAKE = SignalIntake(NOW)


@dataclass(frozen=True, slots=True)
class ReadLines:
    """What became of a body."""

    outcome: SignalOutcome
    rows: list[dict[str, Any]]
    refused: list[dict[str, Any]]

    @property
    def row(self) -> dict[str, Any]:
        """Return the only row; nothing else came of the body."""
        assert not self.refused, self.refused
        (row,) = self.rows
        return row


def read_lines(body: str | bytes, form: LineForm, **resource: str) -> ReadLines:
    """Read a body; `service_name="cart"` stands for the attribute `service.name`."""
    raw = body.encode() if isinstance(body, str) else body
    attributes = {name.replace("_", "."): text for name, text in resource.items()}
    return read_outcome(accept_log_lines(raw, form, INTAKE, attributes))


def read_outcome(outcome: SignalOutcome) -> ReadLines:
    """Return the rows of an outcome."""
    rows = _rows(outcome, streams.KIND_LOGS, LOGS)
    refused = _rows(outcome, streams.KIND_REFUSED, REJECTED)
    assert (len(rows), len(refused)) == (outcome.accepted, outcome.rejected)
    return ReadLines(outcome, rows, refused)


def _rows(outcome: SignalOutcome, kind: bytes, schema: pa.Schema) -> list[dict[str, Any]]:
    tables = [streams.from_ipc(entry.payload) for entry in outcome.entries if entry.kind == kind]
    table = LakeTable(schema, schema.names[0])
    return [row for part in tables for row in conformed("signals", table, part).to_pylist()]
