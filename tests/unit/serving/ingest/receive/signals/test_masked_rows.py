"""Logs and spans are masked before they are rows: bodies, attributes, resources, refused records; counted by rule."""

import json
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from data_contracts.schemas.telemetry_schemas import REJECTED
from data_contracts.values.masking import Masks
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.otlp_traces import accept_spans
from serving.ingest.receive.signals.signal_outcome import SignalIntake, SignalOutcome
from serving.stream import streams
from tests.testing.otlp_bodies import NOW, add_log, add_span, as_json

INTAKE = SignalIntake(NOW, masks=Masks.of(["secrets", "email"], {}))
SECRET = "hunter2"


def texts(outcome: SignalOutcome) -> str:
    """Return everything that goes on, as text."""
    tables = [streams.from_ipc(entry.payload) for entry in outcome.entries]
    return json.dumps([table.to_pylist() for table in tables], default=str)


def logs(**cells: Any) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    add_log(request, body=f"password={SECRET} of bob@example.com", attributes={"db.password": SECRET, "kept": "yes"}, **cells)
    request.resource_logs[0].resource.attributes.add(key="process.command_args").value.string_value = f"--token={SECRET}"
    return request


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@pytest.mark.parametrize("severity", [9, 99])
def test_a_log_record_holds_no_secret_accepted_or_refused(encoding: Any, severity: int) -> None:
    request = logs(severity_number=severity)
    body = request.SerializeToString() if encoding == "protobuf" else as_json(request)
    unmasked = accept_logs(body, encoding, replace(INTAKE, masks=Masks()))
    assert SECRET in texts(unmasked)
    outcome = accept_logs(body, encoding, INTAKE)
    assert (outcome.accepted, outcome.rejected) == ((1, 0) if severity == 9 else (0, 1))
    assert SECRET not in texts(outcome)
    assert "bob@" not in texts(outcome)
    assert "yes" in texts(outcome)
    assert (severity == 99) or outcome.masked == {"secret_name": 1, "named_secret": 2, "email": 1}


def test_a_span_holds_no_secret() -> None:
    request = ExportTraceServiceRequest()
    span = add_span(request, name=f"GET /?token={SECRET}", attributes={"url.full": f"https://u:{SECRET}@h/"})
    span.status.message = f"pwd: {SECRET}"
    span.events.add(name="e").attributes.add(key="exception.message").value.string_value = f"api_key={SECRET}"
    outcome = accept_spans(request.SerializeToString(), "protobuf", INTAKE)
    assert outcome.accepted == 1
    assert SECRET not in texts(outcome)


def test_harmless_attributes_stay_beside_a_secret() -> None:
    request = ExportLogsServiceRequest()
    add_log(request, attributes={"message": f"pwd: {SECRET}", "prompt": "Enter password: ", "http.status_code": 500})
    outcome = accept_logs(request.SerializeToString(), "protobuf", INTAKE)
    rows = [row for entry in outcome.entries for row in streams.from_ipc(entry.payload).to_pylist()]
    kept = {"message": "pwd: [masked:named_secret]", "prompt": "Enter password: ", "http.status_code": 500}
    assert json.loads(rows[0]["attributes"]) == kept


@pytest.mark.parametrize("severity", [9, 99])
def test_every_text_of_a_record_is_masked(severity: int) -> None:
    request = ExportLogsServiceRequest()
    add_log(request, severity_number=severity, severity_text=f"token={SECRET}", event_name=f"token={SECRET}")
    request.resource_logs[0].scope_logs[0].scope.name = f"token={SECRET}"
    request.resource_logs[0].resource.attributes.add(key="service.name").value.string_value = f"token={SECRET}"
    assert SECRET not in texts(accept_logs(request.SerializeToString(), "protobuf", INTAKE))


def test_events_stay_an_array() -> None:
    request = ExportTraceServiceRequest()
    span = add_span(request)
    span.events.add(name="e").attributes.add(key="password").value.string_value = SECRET
    outcome = accept_spans(request.SerializeToString(), "protobuf", INTAKE)
    rows = [row for entry in outcome.entries for row in streams.from_ipc(entry.payload).to_pylist()]
    events = json.loads(rows[0]["events"])
    assert [event["attributes"] for event in events] == [{"password": "[masked:secret_name]"}]


@pytest.mark.parametrize("room", [900, 65_500])
def test_a_secret_that_a_cut_goes_through_is_masked(room: int) -> None:
    words = ("word " * (room // 5))[: room - 20]
    body = f'{words} password="two {SECRET} ' + "x" * 200 + '"'
    request = ExportLogsServiceRequest()
    add_log(request, body=body, severity_number=99)
    add_log(request, body=body)
    outcome = accept_logs(request.SerializeToString(), "protobuf", INTAKE)
    assert (outcome.accepted, outcome.rejected) == (1, 1)
    assert SECRET not in texts(outcome)


def test_why_a_record_is_refused_holds_no_secret() -> None:
    request = ExportLogsServiceRequest()
    add_log(request)
    service = f"cart|password={SECRET}"
    request.resource_logs[0].resource.attributes.add(key="service.name").value.string_value = service
    unmasked = accept_logs(request.SerializeToString(), "protobuf", replace(INTAKE, masks=Masks()))
    assert SECRET in unmasked.message
    outcome = accept_logs(request.SerializeToString(), "protobuf", INTAKE)
    assert outcome.rejected == 1
    assert SECRET not in texts(outcome) + outcome.message


def test_a_refused_record_is_masked_in_its_dead_letter() -> None:
    outcome = accept_logs(logs(severity_number=99).SerializeToString(), "protobuf", INTAKE)
    letters = [streams.from_ipc(entry.payload) for entry in outcome.entries if entry.kind == streams.KIND_REFUSED]
    assert [table.schema.names for table in letters] == [REJECTED.names]
    assert "[masked:" in letters[0].column("row")[0].as_py()
