"""Log records of OTLP over HTTP or gRPC: a body becomes rows of `LOGS`, each record checked.

Refused: a time before 2000 or too far ahead, a severity number beyond 0 to 24, a resource whose service breaks the rules
of names. A trace or span id of another form than the specification's is left out, as it says, and the answer tells so.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import IntArray
from data_contracts.schemas.wire_schemas import LOGS
from data_contracts.telemetry.rejects import Refusal
from data_contracts.values.moments import microseconds_of
from serving.ingest.receive.signals.attribute_texts import Json, body_texts, cut_texts, object_texts
from serving.ingest.receive.signals.json_messages import JsonLogs
from serving.ingest.receive.signals.record_checks import Mask, RecordChecks
from serving.ingest.receive.signals.record_ids import record_ids
from serving.ingest.receive.signals.resource_records import (
    FORMS,
    Encoding,
    Form,
    Nesting,
    ResourceRecords,
    decoded_json,
    decoded_protobuf,
    has_form,
    is_absent,
    microseconds,
    resource_records,
    text_list,
)
from serving.ingest.receive.signals.signal_outcome import (
    SignalIntake,
    SignalOutcome,
    masked_rows,
    outcome,
    refused_rows,
)
from serving.stream import streams

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

MOST_SEVERITY: Final = 24
MOST_NAME_BYTES: Final = 500
_NESTING: Final = Nesting("resource_logs", "scope_logs", "log_records")


def accept_logs(body: bytes, encoding: Encoding, intake: SignalIntake) -> SignalOutcome:
    """Return what becomes of a decompressed body. Memory: a small multiple of the body.

    Raises:
        MalformedBody: it is no request of OTLP logs; nothing of it is kept.
    """
    if encoding == "json":
        message: Any = decoded_json(body, JsonLogs)
    else:
        message = decoded_protobuf(body, _message_class())
    form = FORMS[encoding]
    groups = resource_records(message, _NESTING, form, intake)
    times_us = _times_us(groups, intake)
    checks = _checked(groups, times_us, intake)
    rows, remarks = _rows(groups, times_us, form, intake)
    log_ids = record_ids(body, len(groups))
    rows = rows.set_column(LOGS.get_field_index("log_id"), "log_id", pa.array(log_ids))
    refusals = checks.refusals()
    refused = _refused(groups, list(refusals), times_us, form) if refusals else []
    kept = rows.take(pa.array(checks.kept, pa.int64())) if refusals else rows
    letters = refused_rows(refused, list(refusals.values()), intake, "otlp/logs")
    return outcome(streams.KIND_LOGS, "log records", masked_rows(kept, intake), letters, remarks)


def _message_class() -> "type[ExportLogsServiceRequest]":
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return ExportLogsServiceRequest


def _times_us(groups: ResourceRecords, intake: SignalIntake) -> IntArray:
    """Return when each happened; where that is not stated when it was observed, and else received."""
    count = len(groups)
    happened = microseconds([record.time_unix_nano for record in groups.records], count)
    observed = microseconds([record.observed_time_unix_nano for record in groups.records], count)
    received = microseconds_of(intake.available_at)
    return np.where(happened > 0, happened, np.where(observed > 0, observed, received))


def _checked(groups: ResourceRecords, times_us: IntArray, intake: SignalIntake) -> RecordChecks:
    checks = RecordChecks(len(groups))
    checks.refuse_time(times_us, "time_unix_nano", intake)
    severity = _severities(groups)
    rule = f"is not 0 to {MOST_SEVERITY}: map it to OpenTelemetry's numbers"
    checks.refuse(
        (severity < 0) | (severity > MOST_SEVERITY),
        lambda row: Refusal("out_of_range", "severity_number", f"severity_number {severity[row]} {rule}"),
    )
    faulty = np.isin(groups.resource, list(groups.faults))
    checks.refuse(faulty, lambda row: groups.faults[int(groups.resource[row])])
    return checks


def _severities(groups: ResourceRecords) -> IntArray:
    numbers = [record.severity_number or 0 for record in groups.records]
    try:
        return np.array(numbers, np.int64)
    except OverflowError:  # JSON has integers without end
        return np.array([min(max(number, -1), MOST_SEVERITY + 1) for number in numbers], np.int64)


def _body(record: Any, form: Form) -> Json:
    return (record.body.string_value or form.value(record.body)) if record.body else None


def _rows(groups: ResourceRecords, times_us: IntArray, form: Form, intake: SignalIntake) -> tuple[pa.RecordBatch, list[str]]:
    """Return a row a record, ids of it aside, and what is kept otherwise than sent."""
    records = groups.records
    trace_ids, bad_traces = _ids(form, [record.trace_id for record in records], 32)
    span_ids, bad_spans = _ids(form, [record.span_id for record in records], 16)
    bodies = [_body(record, form) for record in records]
    severity = _severities(groups)
    columns: dict[str, Any] = {
        "timestamp": pa.array(times_us).cast(LOGS.field("timestamp").type),
        "log_id": pa.array(np.zeros(len(records), np.int64)),
        "service": groups.coded(groups.services, groups.resource),
        "severity": cut_texts([record.severity_text or "" for record in records], MOST_NAME_BYTES),
        "severity_number": pa.array(np.where((severity >= 0) & (severity <= MOST_SEVERITY), severity, 0).astype(np.int8)),
        "body": body_texts(bodies),
        "event": cut_texts([record.event_name or None for record in records], MOST_NAME_BYTES),
        "trace_id": trace_ids,
        "span_id": span_ids,
        "scope": groups.coded(groups.scopes, groups.scope),
        "attributes": object_texts([form.attributes(record.attributes) for record in records]),
        "resource": groups.coded(groups.resources, groups.resource),
        "available_at": pa.repeat(pa.scalar(intake.available_at, LOGS.field("available_at").type), len(records)),
    }
    return pa.RecordBatch.from_pydict(columns), _id_remarks(len(records), bad_traces, bad_spans)


def _ids(form: Form, ids: list[Any], digits: int) -> tuple[Any, Mask]:
    """Return ids, null where there is none, and which were given in another form."""
    texts = form.ids(ids)
    right = has_form(texts, digits)
    column = pc.if_else(pa.array(right), texts, pa.scalar(None, pa.string()))
    return column, ~right & ~is_absent(texts)


def _id_remarks(count: int, bad_traces: Mask, bad_spans: Mask) -> list[str]:
    remarks = []
    for name, digits, bad in (("trace_id", 32, bad_traces), ("span_id", 16, bad_spans)):
        if bad.any():
            remarks.append(f"{int(bad.sum())} of {count} log records kept without {name}: it is not {digits} hexadecimal digits")
    return remarks


def _refused(groups: ResourceRecords, rows: list[int], times_us: IntArray, form: Form) -> list[dict[str, str | int]]:
    """Return what is kept of refused records."""
    records = [groups.records[row] for row in rows]
    bodies = text_list(body_texts([_body(record, form) for record in records]))
    attributes = text_list(object_texts([form.attributes(record.attributes) for record in records]))
    services = text_list(groups.services.take(pa.array(groups.resource[rows], pa.int64())))
    return [
        {
            "signal": "log",
            "service": service,
            "time_us": int(times_us[row]),
            "severity_number": record.severity_number or 0,
            "severity": record.severity_text or "",
            "body": body,
            "attributes": text,
        }
        for row, record, service, body, text in zip(rows, records, services, bodies, attributes, strict=True)
    ]
