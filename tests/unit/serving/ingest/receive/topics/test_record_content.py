"""Records of topics: by a registry in Avro, JSON and protobuf, in plain JSON, and metric events of Vector; faults are named."""

import asyncio
import io
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from aiops.errors import ContractError, Unavailable
from aiops.settings.topic_settings import RecordFields
from serving.ingest.receive.topics.record_content import RegisteredContent, VectorContent
from serving.ingest.receive.topics.schema_registry import SchemaRegistry
from serving.ingest.receive.topics.topic_messages import TopicMessage
from serving.ingest.receive.wire.decoded import DecodedBody, MalformedBody, SeriesDescription, SeriesKind
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from tests.testing.registry_server import Registered, RegistryServer, framed
from tests.testing.wire_bodies import damaged

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
AT_US = int(AT.timestamp() * 1e6)
LIMIT = 1 << 20
OTLP = OtlpMetricsDecoder(5)
RECORD = {"timestamp": AT_US // 1000, "service": "cart", "metric": "queue_length", "value": 7, "labels": {"zone": "a"}}
PLACE = json.dumps({"type": "record", "name": "Place", "fields": [{"name": "zone", "type": "string"}]})
AVRO = json.dumps(
    {
        "type": "record",
        "name": "Reading",
        "fields": [
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "app", "type": {"type": "record", "name": "App", "fields": [{"name": "name", "type": "string"}]}},
            {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
            {"name": "place", "type": ["null", "Place"]},
            {"name": "code", "type": ["null", "int"]},
        ],
    }
)
AVRO_FIELDS = RecordFields(
    timestamp="at", service="app.name", metric="=orders", value="amount", labels=("place.zone", "code"), kind="counter"
)


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as started:
        yield started


def message(content: bytes) -> TopicMessage:
    return TopicMessage(0, 7, content, {})


def reader(encoding: str, registry: RegistryServer | None, fields: RecordFields | None = None) -> RegisteredContent:
    asked = SchemaRegistry(registry.url) if registry is not None else None
    return RegisteredContent(encoding, fields or RecordFields(), asked, OTLP)


def read(content: RegisteredContent, body: bytes) -> DecodedBody:
    asyncio.run(content.prepare([message(body)]))
    return content.read(message(body), LIMIT)


def described(body: DecodedBody) -> tuple[Any, ...]:
    """Return resource, metric, labels, kind, time and value of the only point."""
    (series,) = body.describe(np.array([0]))
    assert isinstance(series, SeriesDescription)
    kind = SeriesKind(int(body.series.kind[0]))
    return (
        dict(series.resource),
        series.metric,
        dict(series.labels),
        kind,
        int(body.points.time_us[0]),
        float(body.points.value[0]),
    )


def registered_avro(registry: RegistryServer) -> Registered:
    place = registry.register("place", "AVRO", PLACE)
    return registry.register("readings-value", "AVRO", AVRO, [("Place", place)])


def avro_record(code: int | None = 5) -> bytes:
    named: dict[str, Any] = {}
    fastavro.parse_schema(json.loads(PLACE), named_schemas=named)
    schema = fastavro.parse_schema(json.loads(AVRO), named_schemas=named)
    output = io.BytesIO()
    record = {"at": AT, "app": {"name": "cart"}, "amount": Decimal("12.50"), "place": {"zone": "eu"}, "code": code}
    fastavro.schemaless_writer(output, schema, record)
    return output.getvalue()


def test_avro_is_read_by_its_schema_with_what_it_refers_to(registry: RegistryServer) -> None:
    schema = registered_avro(registry)
    content = reader("avro", registry, AVRO_FIELDS)
    body = read(content, framed(schema.schema_id, avro_record()))
    labels = {"zone": "eu", "code": "5"}
    assert described(body) == ({"service.name": "cart"}, "orders", labels, SeriesKind.COUNTER, AT_US, 12.5)
    asked = len(registry.asked)
    assert described(read(content, framed(schema.schema_id, avro_record(None))))[2] == {"zone": "eu"}
    assert len(registry.asked) == asked, "a schema never changes under its id"


def test_json_is_read_with_and_without_a_schema(registry: RegistryServer) -> None:
    schema = registry.register("readings", "JSON", '{"type": "object"}')
    body = json.dumps(RECORD).encode()
    expected = ({"service.name": "cart"}, "queue_length", {"zone": "a"}, SeriesKind.GAUGE, AT_US, 7.0)
    assert described(read(reader("json", registry), framed(schema.schema_id, body))) == expected
    assert described(read(reader("json", None), body)) == expected


def proto_files() -> tuple[FileDescriptorProto, FileDescriptorProto]:
    """Return files with message `metrics.Batch.Reading` and with `common.Where`, which it has a field of."""
    kinds = FieldDescriptorProto
    common = FileDescriptorProto(name="common/where.proto", package="common", syntax="proto3")
    common.message_type.add(name="Where").field.add(name="service", number=1, type=kinds.TYPE_STRING, label=1)
    file = FileDescriptorProto(name="metrics.proto", package="metrics", syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "common/where.proto"])
    file.message_type.add(name="Other")
    reading = file.message_type.add(name="Batch").nested_type.add(name="Reading")
    entry = reading.nested_type.add(name="TagsEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), start=1):
        entry.field.add(name=name, number=number, type=kinds.TYPE_STRING, label=1)
    stamp, where = ".google.protobuf.Timestamp", ".common.Where"
    reading.field.add(name="at", number=1, type=kinds.TYPE_MESSAGE, type_name=stamp, label=1)
    reading.field.add(name="where", number=2, type=kinds.TYPE_MESSAGE, type_name=where, label=1)
    reading.field.add(name="value", number=3, type=kinds.TYPE_INT64, label=1)
    reading.field.add(name="tags", number=4, type=kinds.TYPE_MESSAGE, type_name=".metrics.Batch.Reading.TagsEntry", label=3)
    return file, common


PROTO_FIELDS = RecordFields(timestamp="at", service="where.service", metric="=depth", value="value", labels="tags", kind="delta")
READING = (
    b"\x0a\x08\x08"
    + bytes([0xA5, 0x9E, 0xDC, 0xCA, 0x06])
    + b"\x10\x05"
    + b"\x12\x06\x0a\x04cart"
    + b"\x22\x06\x0a\x01q\x12\x01x"
)


def test_protobuf_is_read_by_its_message_indexes(registry: RegistryServer) -> None:
    file, common = proto_files()
    schema = registry.register_file(file, [("common/where.proto", registry.register_file(common))])
    content = reader("protobuf", registry, PROTO_FIELDS)
    resource, metric, labels, kind, time_us, value = described(read(content, framed(schema.schema_id, b"\x04\x02\x00" + READING)))
    assert (resource, metric, labels, kind, value) == ({"service.name": "cart"}, "depth", {"q": "x"}, SeriesKind.DELTA, 0.0)
    assert time_us == 1_767_313_189_000_000
    for indexes, words in (
        (b"\x00" + READING, "at"),
        (b"\x04\x02\x08", "name a message"),
        (b"\x7f", "1 to 64"),
        (b"\x80", "whole"),
    ):
        with pytest.raises(MalformedBody, match=words):
            read(content, framed(schema.schema_id, indexes))


def test_what_no_registry_knows_is_refused_and_asked_for_once(registry: RegistryServer) -> None:
    schema = registry.register("readings", "JSON", "{}")
    content = reader("avro", registry, AVRO_FIELDS)
    for _ in range(3):
        with pytest.raises(MalformedBody, match=r"schema id 7: .*the registry 127\.0\.0\.1:.* knows it"):
            read(content, framed(7, b""))
    assert registry.asked == ["/schemas/ids/7"]
    with pytest.raises(MalformedBody, match="AVRO, which the topic's encoding says; the registry says JSON"):
        read(content, framed(schema.schema_id, b"{}"))
    broken = registry.register("broken", "AVRO", '{"type": "nothing"}')
    with pytest.raises(MalformedBody, match="it can be used"):
        read(content, framed(broken.schema_id, b""))
    with pytest.raises(MalformedBody, match="begins with a byte 0"):
        read(content, b"\x00\x00")


def test_a_registry_that_does_not_answer_is_asked_again_and_says_no_password() -> None:
    with RegistryServer(password="secret") as registry:
        schema = registered_avro(registry)
        assert described(read(reader("avro", registry, AVRO_FIELDS), framed(schema.schema_id, avro_record())))[-1] == 12.5
        registry.status = 500
        content = reader("avro", registry, AVRO_FIELDS)
        with pytest.raises(Unavailable, match="answered 500"):
            read(content, framed(schema.schema_id, avro_record()))
        registry.status = 200
        assert described(read(content, framed(schema.schema_id, avro_record())))[-1] == 12.5
        registry.password = "another"
        wrong = RegisteredContent("avro", AVRO_FIELDS, SchemaRegistry(registry.url.replace("another", "secret")), OTLP)
        with pytest.raises(Unavailable, match="answered 401") as raised:
            read(wrong, framed(schema.schema_id, avro_record()))
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"service": None}, "service: is absent: must be a text that is not empty; .*fields.service"),
        ({"service": 5}, "service: = '5': must be a text"),
        ({"value": "7"}, "value: = '7': must be a number; .*fields.value in AIOPS_INGEST__TOPICS"),
        ({"value": True}, "value: = 'True': must be a number"),
        ({"timestamp": "2026-01-01"}, "timestamp: .*must be a number of ms since 1970"),
        ({"timestamp": -5}, "timestamp: .*after 1970 and before 2262"),
        ({"timestamp": 1e300}, "timestamp: .*after 1970"),
        ({"labels": ["a"]}, "labels: .*must be an object of labels"),
        ({"labels": {"zone": {"a": 1}}}, "labels.zone: .*must be a text, a number or a truth value"),
    ],
)
def test_a_field_that_breaks_a_rule_is_named_with_value_and_fix(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedBody, match=words):
        read(reader("json", None), json.dumps({**RECORD, **changed}).encode())


def test_times_are_read_in_the_unit_that_is_declared() -> None:
    for unit, value in (("s", AT_US / 1e6), ("us", AT_US), ("ns", AT_US * 1000), ("iso", "2026-01-02T04:04:05.678+01:00")):
        body = read(reader("json", None, RecordFields(time_unit=unit)), json.dumps({**RECORD, "timestamp": value}).encode())  # type: ignore[arg-type]
        assert abs(described(body)[-2] - AT_US) <= 1


def vector(**cells: Any) -> bytes:
    event = {"name": "requests", "namespace": "http", "tags": {"app": "cart", "code": ["500", None]}, "kind": "absolute"}
    return json.dumps({**event, "timestamp": "2026-01-02T03:04:05.678Z", **cells}).encode()


@pytest.mark.parametrize(
    ("cells", "kind", "value"),
    [
        ({"counter": {"value": 4.5}}, SeriesKind.COUNTER, 4.5),
        ({"counter": {"value": 4}, "kind": "incremental", "interval_ms": 1000}, SeriesKind.DELTA, 4.0),
        ({"gauge": {"value": -1.0}}, SeriesKind.GAUGE, -1.0),
    ],
)
def test_numbers_of_vector_keep_their_meaning(cells: dict[str, Any], kind: SeriesKind, value: float) -> None:
    content = VectorContent(("service", "app"), OTLP)
    for body in (vector(**cells), json.dumps({"metric": json.loads(vector(**cells))}).encode()):
        decoded = content.read(message(body), LIMIT)
        assert described(decoded) == ({"service.name": "cart"}, "http_requests", {"code": "500"}, kind, AT_US, value)
        assert int(decoded.points.start_us[0]) == (AT_US - 1_000_000 if "interval_ms" in cells else 0)


def test_histograms_and_summaries_of_vector_are_whole() -> None:
    content = VectorContent(("service",), OTLP)
    buckets = [{"upper_limit": 0.1, "count": 2}, {"upper_limit": 1.0, "count": 3}, {"upper_limit": None, "count": 1}]
    body = content.read(message(vector(aggregated_histogram={"buckets": buckets, "count": 6, "sum": 4.2})), LIMIT)
    assert (body.histograms.count.tolist(), body.histograms.sum.tolist()) == ([6.0], [4.2])
    assert body.histograms.counts.tolist() == [2.0, 3.0, 1.0]
    quantiles = [{"quantile": 0.5, "value": 1.5}]
    summary = content.read(message(vector(aggregated_summary={"quantiles": quantiles, "count": 6, "sum": 4.2})), LIMIT)
    assert sorted(summary.points.value.tolist()) == [1.5, 4.2, 6.0]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"set": {"values": ["a"]}}, "must hold one of counter, gauge"),
        ({"gauge": {"value": 1}, "kind": "incremental"}, "kind: .*must be absolute for a gauge"),
        ({"counter": {"value": "1"}}, "counter.value: = '1': must be a number"),
        ({"counter": {"value": 1}, "timestamp": None}, "timestamp: is absent"),
        ({"counter": {"value": 1}, "tags": {"a": 5}}, "tags.a: "),
        ({"aggregated_histogram": {"buckets": [], "count": -1, "sum": 0}}, "aggregated_histogram.count: .*count from 0"),
    ],
)
def test_what_holds_no_comparable_number_is_refused(cells: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedBody, match=words):
        VectorContent((), OTLP).read(message(vector(**cells)), LIMIT)


@pytest.mark.parametrize("encoding", ["avro", "json", "protobuf", "vector_json"])
def test_damaged_records_are_read_or_refused(encoding: str, registry: RegistryServer) -> None:
    rng = random.Random(23)
    content: Any
    if encoding == "avro":
        content, whole = reader("avro", registry, AVRO_FIELDS), framed(registered_avro(registry).schema_id, avro_record())
    elif encoding == "protobuf":
        file, common = proto_files()
        schema = registry.register_file(file, [("common/where.proto", registry.register_file(common))])
        content, whole = reader("protobuf", registry, PROTO_FIELDS), framed(schema.schema_id, b"\x04\x02\x00" + READING)
    else:
        content = reader("json", None) if encoding == "json" else VectorContent(("app",), OTLP)
        whole = json.dumps(RECORD).encode() if encoding == "json" else vector(counter={"value": 4.5})
    asyncio.run(content.prepare([message(whole)]))
    refused = 0
    for _ in range(4000):
        body = whole[:5] + damaged(whole[5:], rng) if encoding in ("avro", "protobuf") else damaged(whole, rng)
        try:
            assert isinstance(content.read(message(body), LIMIT), DecodedBody)
        except ContractError:
            refused += 1
    assert 100 < refused < 4000
