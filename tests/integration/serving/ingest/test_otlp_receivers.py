"""OTLP at the receiver process: metrics, logs and traces, over HTTP in both forms and over gRPC."""

import gzip
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from serving.stream import streams
from tests.testing.deadlines import within
from tests.testing.otlp_bodies import as_json
from tests.testing.receiver_harness import Receiver, receiver_settings

PROTOBUF, JSON = {"content-type": "application/x-protobuf"}, {"content-type": "application/json"}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    home: Path = tmp_path_factory.mktemp("otlp") / "home"
    home.mkdir()
    with Receiver(receiver_settings(home, limits='{"slow": {"points_per_s": 1}}')) as started:
        yield started


def now_ns() -> int:
    return time.time_ns()


def metrics(service: str, value: float, ahead_s: int = 0) -> metrics_service_pb2.ExportMetricsServiceRequest:
    """Return one gauge, one cumulative counter and one explicit histogram of a service."""
    request = metrics_service_pb2.ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    for name, text in (("service.name", service), ("host.name", "web-1"), ("process.pid", "42")):
        attribute = group.resource.attributes.add(key=name)
        attribute.value.string_value = text
    scope = group.scope_metrics.add()
    at = now_ns() + ahead_s * 10**9
    scope.metrics.add(name="queue.length").gauge.data_points.add(time_unix_nano=at, as_double=value)
    total = scope.metrics.add(name="jobs", unit="1").sum
    total.aggregation_temporality, total.is_monotonic = 2, True
    total.data_points.add(time_unix_nano=at, start_time_unix_nano=at - 10**10, as_int=int(value))
    histogram = scope.metrics.add(name="latency", unit="ms").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(
        time_unix_nano=at,
        start_time_unix_nano=at - 10**10,
        count=3,
        sum=12.0,
        bucket_counts=[1, 2, 0],
        explicit_bounds=[1.0, 10.0],
    )
    return request


def spans(service: str) -> trace_service_pb2.ExportTraceServiceRequest:
    request = trace_service_pb2.ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    at = now_ns()
    group.scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, name="GET /", start_time_unix_nano=at - 10**6, end_time_unix_nano=at
    )
    return request


def logs(service: str, text: str) -> logs_service_pb2.ExportLogsServiceRequest:
    request = logs_service_pb2.ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    group.scope_logs.add().log_records.add(time_unix_nano=now_ns()).body.string_value = text
    return request


def post(receiver: Receiver, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{receiver.url}{path}", content=body, headers=headers, timeout=within(30))


def consume(calls: Iterable[None]) -> None:
    """Make calls until one raises."""
    for _ in calls:
        continue


def of_service(rows: list[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["service"] == service]


@pytest.mark.parametrize("form", ["protobuf", "gzip", "json"])
def test_metrics_over_http_are_defined_and_kept(receiver: Receiver, form: str) -> None:
    request = metrics(f"cart-{form}", 5.0)
    body, headers = request.SerializeToString(), dict(PROTOBUF)
    if form == "gzip":
        body, headers = gzip.compress(body), {**headers, "content-encoding": "gzip"}
    if form == "json":
        body, headers = json_format.MessageToJson(request).encode(), JSON
    answer = post(receiver, "/v1/metrics", body, headers)
    assert (answer.status_code, answer.content) == (200, b"{}" if form == "json" else b"")
    definitions = of_service(receiver.rows(streams.KIND_DEFINITIONS), f"cart-{form}")
    assert {(row["metric"], row["role"]) for row in definitions} == {
        ("queue.length", "value"),
        ("jobs", "total"),
        ("latency", "histogram"),
    }
    assert {row["labels"] for row in definitions} == {'{"host.name":"web-1"}'}
    ids = {row["metric"]: row["series_id"] for row in definitions}
    points = {row["series_id"]: row for row in receiver.rows(streams.KIND_POINTS)}
    assert points[ids["queue.length"]]["value"] == 5.0
    assert points[ids["jobs"]]["started_at"] is not None
    (histogram,) = [row for row in receiver.rows(streams.KIND_HISTOGRAMS) if row["series_id"] == ids["latency"]]
    assert (histogram["count"], histogram["sum"], sum(histogram["counts"])) == (3.0, 12.0, 3.0)


def test_what_was_there_already_is_a_warning_and_no_rejection(receiver: Receiver) -> None:
    body = metrics("again", 5.0).SerializeToString()
    first, second = (post(receiver, "/v1/metrics", body, PROTOBUF) for _ in range(2))
    assert first.content == b""
    partial = metrics_service_pb2.ExportMetricsServiceResponse.FromString(second.content).partial_success
    assert (second.status_code, partial.rejected_data_points) == (200, 0)
    assert partial.error_message == "repeated: 3 points were here already with the same value and count once"


def test_what_is_refused_is_a_partial_success(receiver: Receiver) -> None:
    answer = post(receiver, "/v1/metrics", metrics("ahead", 1.0, ahead_s=3600).SerializeToString(), PROTOBUF)
    partial = metrics_service_pb2.ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_data_points) == (200, 3)
    assert "future_timestamp: 2 samples, 1 histogram" in partial.error_message
    text = json_format.MessageToJson(metrics("ahead", 1.0, ahead_s=3600)).encode()
    said = post(receiver, "/v1/metrics", text, JSON).json()["partialSuccess"]
    assert said["rejectedDataPoints"] == "3"
    assert "future_timestamp" in said["errorMessage"]


def test_logs_and_spans_reach_the_streams_of_signals(receiver: Receiver) -> None:
    assert post(receiver, "/v1/logs", logs("shop", "hello").SerializeToString(), PROTOBUF).status_code == 200
    assert post(receiver, "/v1/logs", as_json(logs("shop", "again")), JSON).status_code == 200
    assert post(receiver, "/v1/traces", as_json(spans("shop")), JSON).status_code == 200
    assert post(receiver, "/v1/traces", spans("shop").SerializeToString(), PROTOBUF).status_code == 200
    assert [row["body"] for row in of_service(receiver.rows(streams.KIND_LOGS, "signals"), "shop")] == ["hello", "again"]
    assert len(of_service(receiver.rows(streams.KIND_SPANS, "signals"), "shop")) == 2
    assert {row["name"] for row in of_service(receiver.rows(streams.KIND_SPANS, "signals"), "shop")} == {"GET /"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/metrics", b"\xff\xff", PROTOBUF, 400),
        ("/v1/logs", b"{", JSON, 400),
        ("/v1/traces", b"\xff\xff", PROTOBUF, 400),
        ("/v1/metrics", b"x", {**PROTOBUF, "content-encoding": "gzip"}, 400),
        ("/v1/metrics", b"x", {**PROTOBUF, "content-encoding": "br"}, 415),
        ("/v1/metrics", b"x", {"content-type": "text/plain"}, 415),
    ],
)
def test_bad_requests_are_refused_for_good(
    receiver: Receiver, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(receiver, path, body, headers)
    assert answer.status_code == status
    assert "retry-after" not in answer.headers


def test_grpc_takes_the_same_and_refuses_likewise(receiver: Receiver) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{receiver.settings.ingest.grpc_port}") as channel:
        stub = metrics_service_pb2_grpc.MetricsServiceStub(channel)
        kept = stub.Export(metrics("by-grpc", 7.0), compression=grpc.Compression.Gzip, timeout=within(30))
        assert kept.partial_success.rejected_data_points == 0
        partial = stub.Export(metrics("by-grpc", 7.0, ahead_s=3600), timeout=within(30)).partial_success
        assert (partial.rejected_data_points, "future_timestamp" in partial.error_message) == (3, True)
        trace_service_pb2_grpc.TraceServiceStub(channel).Export(spans("by-grpc"), timeout=within(30))
        bad = channel.unary_unary("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
        with pytest.raises(grpc.RpcError) as refused:
            bad(b"\xff\xff", timeout=within(30))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(of_service(receiver.rows(streams.KIND_DEFINITIONS), "by-grpc")) == 3
    assert of_service(receiver.rows(streams.KIND_SPANS, "signals"), "by-grpc")


def test_grpc_and_http_say_when_to_send_again(receiver: Receiver) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{receiver.settings.ingest.grpc_port}") as channel:
        stub = metrics_service_pb2_grpc.MetricsServiceStub(channel)

        def send(value: float) -> None:
            stub.Export(metrics("slow", value), metadata=[("x-scope-orgid", "slow")], timeout=within(30))

        with pytest.raises(grpc.RpcError) as refused:
            consume(map(send, range(9)))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = {pair.key: pair.value for pair in refused.value.trailing_metadata()}
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    within_details, beside = (
        error_details_pb2.RetryInfo(),
        error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]),
    )
    assert status.details[0].Unpack(within_details)
    assert within_details.retry_delay.seconds == beside.retry_delay.seconds > 0
    assert status.code == 8
    answer = post(receiver, "/v1/metrics", metrics("slow", 1.0).SerializeToString(), {**PROTOBUF, "x-scope-orgid": "slow"})
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)
    assert "1 points a second are allowed" in status_pb2.Status.FromString(answer.content).message


def test_a_token_is_for_its_tenants_and_its_role(tmp_path: Path) -> None:
    key = "k" * 32
    home = tmp_path / "home"
    home.mkdir()
    claims = {"exp": int(time.time()) + 3600, "tenants": ["acme"]}
    tokens = {role: jwt.encode({**claims, "role": role}, key, "HS256") for role in ("viewer", "operator")}
    with Receiver(receiver_settings(home), {"AIOPS_SERVING__JWT_KEY": key}) as receiver:

        def status(role: str, tenant: str) -> int:
            headers = {**PROTOBUF, "x-scope-orgid": tenant, "authorization": f"Bearer {tokens[role]}"}
            return post(receiver, "/v1/metrics", metrics("cart", 1.0).SerializeToString(), headers).status_code

        assert post(receiver, "/v1/metrics", b"", PROTOBUF).status_code == 401
        assert [status("viewer", "acme"), status("operator", "other"), status("operator", "acme")] == [403, 403, 200]
        assert httpx.get(f"{receiver.url}/metrics", timeout=within(10)).status_code == 401
        for path in ("readyz", "ready"):
            assert httpx.get(f"{receiver.url}/{path}", timeout=within(10)).status_code == 200
