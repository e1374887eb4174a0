"""Spans of OTLP over HTTP or gRPC: a body becomes rows of `SPANS`, each span checked.

Refused: an id that is not of the specification's form, a start before 2000 or too far ahead, no end or one before the start, a
resource whose service breaks the rules of names.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.schemas.wire_schemas import SPANS
from data_contracts.telemetry.names import shown
from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.attribute_texts import array_texts, cut_texts, object_texts
from serving.ingest.receive.signals.json_messages import JsonTraces
from serving.ingest.receive.signals.record_checks import Mask, RecordChecks
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
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
STATUSES: Final = ("", "ok", "error")
MOST_NAME_BYTES: Final = 500
MOST_STATUS_BYTES: Final = 4096
MOST_STATE_BYTES: Final = 512
"""W3C Trace Context, 3.3.1.5: what every system passes on. A longer `tracestate` is left out: cut, it would say another thing."""
_NESTING: Final = Nesting("resource_spans", "scope_spans", "spans")


def accept_spans(body: bytes, encoding: Encoding, intake: SignalIntake) -> SignalOutcome:
    """Return what becomes of a decompressed body. Memory: a small multiple of the body.

    Raises:
        MalformedBody: it is no request of OTLP traces; nothing of it is kept.
    """
    if encoding == "json":
        message: Any = decoded_json(body, JsonTraces)
    else:
        message = decoded_protobuf(body, _message_class())
    form = FORMS[encoding]
    groups = resource_records(message, _NESTING, form, intake)
    spans = _SpanColumns(groups, form)
    checks = _checked(groups, spans, intake)
    refusals = checks.refusals()
    refused = _refused(groups, list(refusals), spans, form) if refusals else []
    rows = _rows(groups, spans, form, intake)
    kept = rows.take(pa.array(checks.kept, pa.int64())) if refusals else rows
    letters = refused_rows(refused, list(refusals.values()), intake, "otlp/spans")
    return outcome(streams.KIND_SPANS, "spans", masked_rows(kept, intake), letters, ())


def _message_class() -> "type[ExportTraceServiceRequest]":
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return ExportTraceServiceRequest


class _SpanColumns:
    """What is checked of spans: times in µs, ids as hexadecimal digits."""

    def __init__(self, groups: ResourceRecords, form: Form) -> None:
        spans, count = groups.records, len(groups)
        self.start_us = microseconds([span.start_time_unix_nano for span in spans], count)
        self.end_us = microseconds([span.end_time_unix_nano for span in spans], count)
        self.trace_ids = form.ids([span.trace_id for span in spans])
        self.span_ids = form.ids([span.span_id for span in spans])
        self.parent_ids = form.ids([span.parent_span_id for span in spans])


def _checked(groups: ResourceRecords, spans: _SpanColumns, intake: SignalIntake) -> RecordChecks:
    checks = RecordChecks(len(groups))
    _refuse_ids(checks, "trace_id", spans.trace_ids, has_form(spans.trace_ids, 32), 32)
    _refuse_ids(checks, "span_id", spans.span_ids, has_form(spans.span_ids, 16), 16)
    rooted = is_absent(spans.parent_ids) | has_form(spans.parent_ids, 16)
    _refuse_ids(checks, "parent_span_id", spans.parent_ids, rooted, 16)
    checks.refuse_time(spans.start_us, "start_time_unix_nano", intake)
    checks.refuse(
        spans.end_us == 0,
        lambda _: Refusal("missing_value", "end_time_unix_nano", "end_time_unix_nano is 0: send a span when it has ended"),
    )
    checks.refuse(
        spans.end_us < spans.start_us,
        lambda row: Refusal(
            "out_of_range",
            "end_time_unix_nano",
            f"end_time_unix_nano lies {int(spans.start_us[row] - spans.end_us[row])} µs before the start: mend its clock",
        ),
    )
    faulty = np.isin(groups.resource, list(groups.faults))
    checks.refuse(faulty, lambda row: groups.faults[int(groups.resource[row])])
    return checks


def _refuse_ids(checks: RecordChecks, name: str, ids: "pa.StringArray", right: Mask, digits: int) -> None:
    def words(row: int) -> Refusal:
        text = f"{name} {shown(ids[row].as_py())} is not {digits} hexadecimal digits, not all 0: send it as OpenTelemetry has it"
        return Refusal("bad_id", name, text)

    checks.refuse(~right, words)


def _rows(groups: ResourceRecords, spans: _SpanColumns, form: Form, intake: SignalIntake) -> pa.RecordBatch:
    records, time = groups.records, SPANS.field("timestamp").type
    statuses = [span.status for span in records]
    is_root = pa.array(is_absent(spans.parent_ids))
    columns: dict[str, Any] = {
        "timestamp": pa.array(spans.start_us).cast(time),
        "duration_us": pa.array(spans.end_us - spans.start_us),
        "service": groups.coded(groups.services, groups.resource),
        "name": cut_texts([span.name or "" for span in records], MOST_NAME_BYTES),
        "kind": _named(KINDS, (span.kind or 0 for span in records)),
        "trace_id": spans.trace_ids,
        "span_id": spans.span_ids,
        "parent_id": pc.if_else(is_root, pa.scalar(None, pa.string()), spans.parent_ids),
        "status": _named(STATUSES, (status.code or 0 if status else 0 for status in statuses)),
        "status_text": cut_texts([(status.message or "") if status else "" for status in statuses], MOST_STATUS_BYTES),
        "scope": groups.coded(groups.scopes, groups.scope),
        "attributes": object_texts([form.attributes(span.attributes) for span in records]),
        "events": array_texts([_events(span.events, form) for span in records]),
        "links": array_texts([_links(span.links, form) for span in records]),
        "trace_state": _trace_states([span.trace_state or "" for span in records]),
        "resource": groups.coded(groups.resources, groups.resource),
        "available_at": pa.repeat(pa.scalar(intake.available_at, time), len(records)),
    }
    return pa.RecordBatch.from_pydict(columns)


def _named(names: Sequence[str], codes: Iterable[int]) -> Any:
    """Return coded names; a number that has none is the empty one."""
    known = [code if 0 <= code < len(names) else 0 for code in codes]
    return pa.DictionaryArray.from_arrays(pa.array(known, pa.int32()), pa.array(names))


def _trace_states(texts: Sequence[str]) -> Any:
    """Return coded `tracestate`s; null where there is none or it is longer than is kept."""
    kept = [text if text and len(text.encode()) <= MOST_STATE_BYTES else None for text in texts]
    return pa.array(kept, pa.string()).dictionary_encode()


def _events(events: Any, form: Form) -> list[dict[str, Any]]:
    return [
        {
            "name": event.name or "",
            "time_us": int(event.time_unix_nano or 0) // 1000,
            "attributes": form.attributes(event.attributes),
        }
        for event in events or ()
    ]


def _links(links: Any, form: Form) -> list[dict[str, Any]]:
    if not links:
        return []
    trace_ids = form.ids([link.trace_id for link in links]).to_pylist()
    span_ids = form.ids([link.span_id for link in links]).to_pylist()
    return [
        {"trace_id": trace_id, "span_id": span_id, "attributes": form.attributes(link.attributes)}
        for link, trace_id, span_id in zip(links, trace_ids, span_ids, strict=True)
    ]


def _refused(groups: ResourceRecords, rows: list[int], spans: _SpanColumns, form: Form) -> list[dict[str, str | int]]:
    """Return what is kept of refused spans."""
    records = [groups.records[row] for row in rows]
    attributes = text_list(object_texts([form.attributes(span.attributes) for span in records]))
    ids = [text_list(column.take(pa.array(rows, pa.int64()))) for column in (spans.trace_ids, spans.span_ids, spans.parent_ids)]
    services = text_list(groups.services.take(pa.array(groups.resource[rows], pa.int64())))
    return [
        {
            "signal": "span",
            "service": service,
            "name": span.name or "",
            "start_us": int(spans.start_us[row]),
            "end_us": int(spans.end_us[row]),
            "trace_id": trace_id,
            "span_id": span_id,
            "parent_span_id": parent_id,
            "attributes": text,
        }
        for row, span, service, text, trace_id, span_id, parent_id in zip(rows, records, services, attributes, *ids, strict=True)
    ]
