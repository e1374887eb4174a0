"""Records by their registered schema: Avro, JSON, protobuf; each as values by name, times as aware datetimes where typed so."""

import base64
import binascii
import io
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import Any, Final

import fastavro
import orjson
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2
from google.protobuf.message import DecodeError, Message

from serving.ingest.receive.topics.schema_registry import AVRO, JSON, PROTOBUF, RegisteredSchema
from serving.ingest.receive.wire.decoded import MalformedBody

MAGIC: Final = 0
HEADER: Final = struct.Struct(">BI")
Record = Mapping[str, Any]
RecordDecoder = Callable[[bytes], Record]
_FAILURES: Final = (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError, struct.error)
_DEEPEST: Final = 32
_MOST_INDEXES: Final = 64
_WRAPPED: Final = frozenset(message.full_name for message in wrappers_pb2.DESCRIPTOR.message_types_by_name.values())
"""Messages around one value that may be absent."""
_TIMESTAMP: Final = timestamp_pb2.Timestamp.DESCRIPTOR.full_name


def schema_id_of(content: bytes) -> int:
    """Return the id of a message's schema.

    >>> schema_id_of(bytes([0, 0, 0, 0, 7]) + b"record")
    7

    Raises:
        MalformedBody: it does not begin as messages of a registry do.
    """
    if len(content) < HEADER.size or content[0] != MAGIC:
        raise MalformedBody("message", "it begins with a byte 0 and the four bytes of its schema's id")
    return int(HEADER.unpack_from(content)[1])


def json_record(content: bytes) -> Record:
    """Return a record in JSON; raises MalformedBody."""
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedBody("message", f"it is JSON ({str(error)[:100]})") from error
    if not isinstance(record, dict):
        raise MalformedBody("message", "it is a JSON object")
    return record


def decoder_of(schema: RegisteredSchema, kind: str) -> RecordDecoder:
    """Return what decodes messages of a schema, their header cut off.

    Raises:
        MalformedBody: the schema is of another kind, or none that can be used.
    """
    if schema.kind != kind:
        raise MalformedBody("schema", f"it is {kind}, which the topic's encoding says; the registry says {schema.kind[:20]}")
    try:
        return {AVRO: _avro, JSON: _json, PROTOBUF: _protobuf}[kind](schema)
    except (*_FAILURES, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, binascii.Error, DecodeError) as error:
        raise MalformedBody("schema", f"it can be used ({type(error).__name__}: {str(error)[:200]})") from error


def _json(_schema: RegisteredSchema) -> RecordDecoder:
    return json_record


def _avro(schema: RegisteredSchema) -> RecordDecoder:
    named: dict[str, Any] = {}
    for reference in _inner_first(schema):
        fastavro.parse_schema(json.loads(reference.text), named_schemas=named)
    parsed = fastavro.parse_schema(json.loads(schema.text), named_schemas=named)

    def decode(content: bytes) -> Record:
        try:
            record = fastavro.schemaless_reader(io.BytesIO(content), parsed, None)
        except _FAILURES as error:
            raise MalformedBody("message", f"it is Avro of its schema ({type(error).__name__}: {str(error)[:100]})") from error
        if not isinstance(record, dict):
            raise MalformedBody("message", "its schema is a record")
        return record

    return decode


def _protobuf(schema: RegisteredSchema) -> RecordDecoder:
    pool, names = descriptor_pool.DescriptorPool(), set[str]()
    own = _added(pool, names, schema, "")

    def decode(content: bytes) -> Record:
        indexes, begin = _indexes(content)
        name = _message_name(own, indexes)
        message = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()
        try:
            message.ParseFromString(content[begin:])
            return _plain(message, 0)
        except (DecodeError, *_FAILURES) as error:
            raise MalformedBody("message", f"it is protobuf of {name} ({str(error)[:100]})") from error

    return decode


def _added(
    pool: descriptor_pool.DescriptorPool, names: set[str], schema: RegisteredSchema, name: str
) -> descriptor_pb2.FileDescriptorProto:
    """Add a file, and first those that it imports, to a pool."""
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(schema.text, validate=True))
    file.name = name or file.name or "schema.proto"
    for needed in file.dependency:
        if needed in names:
            continue
        if needed in schema.references:
            _added(pool, names, schema.references[needed], needed)
            continue
        known = descriptor_pb2.FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(needed).CopyToProto(known)
        pool.Add(known)
        names.add(needed)
    pool.Add(file)
    names.add(file.name)
    return file


def _inner_first(schema: RegisteredSchema) -> Iterator[RegisteredSchema]:
    for reference in schema.references.values():
        yield from _inner_first(reference)
        yield reference


def _indexes(content: bytes) -> tuple[list[int], int]:
    """Return which message of its file a message is: places from the outermost inwards; and where it begins."""
    count, at = _zigzag(content, 0)
    if count == 0:
        return [0], at
    if not 0 < count <= _MOST_INDEXES:
        raise MalformedBody("message", f"it has 1 to {_MOST_INDEXES} message indexes")
    indexes = []
    for _ in range(count):
        index, at = _zigzag(content, at)
        indexes.append(index)
    return indexes, at


def _zigzag(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 35:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise MalformedBody("message", "its message indexes are whole")


def _message_name(file: descriptor_pb2.FileDescriptorProto, indexes: list[int]) -> str:
    messages, path = file.message_type, [file.package] if file.package else []
    for index in indexes:
        if not 0 <= index < len(messages):
            raise MalformedBody("message", "its message indexes name a message of its schema")
        path.append(messages[index].name)
        messages = messages[index].nested_type
    return ".".join(path)


def _plain(message: Message, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ValueError(f"messages lie more than {_DEEPEST} deep in each other")
    return {field.name: _field(message, field, depth) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any, depth: int) -> Any:
    """Return the value of a field, described by `FieldDescriptor`; None where it may be absent and is."""
    value, of_messages = getattr(message, field.name), field.message_type is not None
    if of_messages and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"].message_type is not None
        return {str(key): _value(value[key], depth) if inner else value[key] for key in value}
    if field.is_repeated:
        return [_value(item, depth) if of_messages else item for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, depth) if of_messages else value


def _value(message: Any, depth: int) -> Any:
    name = message.DESCRIPTOR.full_name
    if name == _TIMESTAMP:
        return message.ToDatetime(tzinfo=UTC)
    return message.value if name in _WRAPPED else _plain(message, depth + 1)
