"""Lines as rows of `LOGS`, checked: the one place where rows of every form are finished and masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import IntArray
from data_contracts.schemas.wire_schemas import LOGS
from data_contracts.telemetry.names import name_fault
from data_contracts.telemetry.rejects import Refusal
from data_contracts.values.moments import microseconds_of
from serving.ingest.receive.signals.attribute_texts import body_texts, cut_texts, object_texts
from serving.ingest.receive.signals.lines.log_line import LogLine
from serving.ingest.receive.signals.record_checks import RecordChecks
from serving.ingest.receive.signals.resource_records import has_form
from serving.ingest.receive.signals.signal_outcome import (
    SignalIntake,
    SignalOutcome,
    masked_rows,
    outcome,
    refused_rows,
)
from serving.stream import streams

MOST_NAME_BYTES: Final = 500
_MOST_US: Final = 2**62


@dataclass(frozen=True, slots=True)
class _Resources:
    """Distinct resources, in order; `codes` (n,) says which each line has; `faults` by resource: its service cannot be one."""

    codes: IntArray
    services: list[str]
    resources: list[dict[str, str]]
    faults: dict[int, Refusal]


def finished(lines: Sequence[LogLine], form: str, ids: IntArray, intake: SignalIntake) -> SignalOutcome:
    """Return what becomes of lines with ids (n,): entries for the broker, each line accepted or refused."""
    resources = _resources(lines, intake)
    times_us = _times_us(lines, intake)
    checks = _checked(lines, resources, times_us, intake)
    rows = _rows(lines, resources, times_us, intake)
    rows = rows.set_column(LOGS.get_field_index("log_id"), "log_id", pa.array(ids))
    refusals = checks.refusals()
    kept = rows.take(pa.array(checks.kept, pa.int64())) if refusals else rows
    records = [_refused_cells(lines[row], resources.services[resources.codes[row]], int(times_us[row])) for row in refusals]
    refused = refused_rows(records, list(refusals.values()), intake, f"lines/{form}")
    return outcome(streams.KIND_LOGS, "log lines", masked_rows(kept, intake), refused, [])


def _resources(lines: Sequence[LogLine], intake: SignalIntake) -> _Resources:
    known: dict[tuple[tuple[str, str], ...], int] = {}
    codes = [known.setdefault(tuple(line.resource.items()), len(known)) for line in lines]
    resources = [dict(items) for items in known]
    services = [intake.rules.of_resource("", resource).service for resource in resources]
    faults = {number: name_fault(service.encode(), "service") for number, service in enumerate(services)}
    refusals = {number: Refusal("name", fault.field, fault.text) for number, fault in faults.items() if fault is not None}
    return _Resources(np.array(codes, np.int64), services, resources, refusals)


def _times_us(lines: Sequence[LogLine], intake: SignalIntake) -> IntArray:
    """Return (n,) when each happened; where that is not stated when it was received."""
    received = microseconds_of(intake.available_at)
    stated = (received if line.time_us is None else min(max(line.time_us, -_MOST_US), _MOST_US) for line in lines)
    return np.fromiter(stated, np.int64, len(lines))


def _checked(lines: Sequence[LogLine], resources: _Resources, times_us: IntArray, intake: SignalIntake) -> RecordChecks:
    checks = RecordChecks(len(lines))
    unreadable = {row: line.refusal for row, line in enumerate(lines) if line.refusal is not None}
    mask = np.zeros(len(lines), np.bool_)
    mask[list(unreadable)] = True
    checks.refuse(mask, lambda row: unreadable[row])
    checks.refuse_time(times_us, "time", intake)
    faulty = np.isin(resources.codes, list(resources.faults))
    checks.refuse(faulty, lambda row: resources.faults[int(resources.codes[row])])
    return checks


def _rows(lines: Sequence[LogLine], resources: _Resources, times_us: IntArray, intake: SignalIntake) -> pa.RecordBatch:
    trace_ids = _ids(lines, "trace_id", 32)
    span_ids = _ids(lines, "span_id", 16)
    codes = pa.array(resources.codes, pa.int32())
    columns: dict[str, Any] = {
        "timestamp": pa.array(times_us).cast(LOGS.field("timestamp").type),
        "log_id": pa.array(np.zeros(len(lines), np.int64)),
        "service": pa.DictionaryArray.from_arrays(codes, pa.array(resources.services, pa.string())),
        "severity": cut_texts([line.severity for line in lines], MOST_NAME_BYTES),
        "severity_number": pa.array([line.severity_number for line in lines], pa.int8()),
        "body": body_texts([line.body for line in lines]),
        "event": cut_texts([line.event or None for line in lines], MOST_NAME_BYTES),
        "trace_id": trace_ids,
        "span_id": span_ids,
        "scope": cut_texts([line.scope for line in lines], MOST_NAME_BYTES),
        "attributes": object_texts([line.attributes for line in lines]),
        "resource": pa.DictionaryArray.from_arrays(codes, object_texts(resources.resources)),
        "available_at": pa.repeat(pa.scalar(intake.available_at, LOGS.field("available_at").type), len(lines)),
    }
    return pa.RecordBatch.from_pydict(columns)


def _ids(lines: Sequence[LogLine], name: str, digits: int) -> Any:
    """Return ids, null where there is none; what is no id of OpenTelemetry's form becomes an attribute of its line."""
    given = [str(getattr(line, name)) for line in lines]
    texts = pa.array([text.lower() for text in given], pa.string())
    right = has_form(texts, digits)
    for row in np.flatnonzero(~right).tolist():
        if given[row].strip("0"):
            lines[row].attributes.setdefault(name, given[row])
    return pc.if_else(pa.array(right), texts, pa.scalar(None, pa.string()))


def _refused_cells(line: LogLine, service: str, time_us: int) -> dict[str, str | int]:
    return {"signal": "log", "service": service, "time_us": time_us, "severity": line.severity, "line": line.text}
