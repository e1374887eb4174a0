"""Messages that are one record each: in JSON, or in Avro, JSON and protobuf by a schema registry, or metric events of Vector."""

from collections.abc import Callable, Sequence
from typing import Final

from aiops.settings.topic_settings import RecordFields
from serving.ingest.receive.receivers import BodyDecoder
from serving.ingest.receive.topics.message_content import plain
from serving.ingest.receive.topics.otlp_records import request_of
from serving.ingest.receive.topics.record_mapping import mapped
from serving.ingest.receive.topics.registered_records import (
    HEADER,
    MAGIC,
    RecordDecoder,
    decoder_of,
    json_record,
    schema_id_of,
)
from serving.ingest.receive.topics.schema_registry import AVRO, JSON, PROTOBUF, SchemaRegistry
from serving.ingest.receive.topics.topic_messages import TopicMessage
from serving.ingest.receive.topics.vector_events import vector_request
from serving.ingest.receive.wire.decoded import DecodedBody, MalformedBody

KINDS: Final = {"avro": AVRO, "json": JSON, "protobuf": PROTOBUF}
"""Kinds of schemas by encoding."""
_MOST_DECODERS: Final = 4096


class RegisteredContent:
    """Records by their registered schema; those in JSON may come without one."""

    def __init__(self, encoding: str, fields: RecordFields, registry: SchemaRegistry | None, otlp: BodyDecoder) -> None:
        self._kind = KINDS[encoding]
        self._fields = fields
        self._registry = registry
        self._otlp = otlp
        self._decoders: dict[int, RecordDecoder | MalformedBody] = {}

    async def prepare(self, messages: Sequence[TopicMessage]) -> None:
        """Ask for the schemas of messages; raises Unavailable where the registry does not answer."""
        for content in (message.content for message in messages):
            if self._registry is None or len(content) < HEADER.size or content[0] != MAGIC:
                continue
            schema_id = schema_id_of(content)
            if isinstance(self._decoders.get(schema_id), MalformedBody) or schema_id not in self._decoders:
                if len(self._decoders) >= _MOST_DECODERS:
                    self._decoders.clear()
                self._decoders[schema_id] = await self._decoder(self._registry, schema_id)

    def read(self, message: TopicMessage, limit: int) -> DecodedBody:
        """Return what a message holds."""
        body = plain(message, limit)
        if self._kind == JSON and body[0] != MAGIC:
            return self._taken(json_record, body)
        schema_id = schema_id_of(body)
        decoder = self._decoders.get(schema_id)
        if decoder is None:
            rule = "there is a registry to ask: set AIOPS_INGEST__REGISTRY_URL; such a message is not compressed"
            raise MalformedBody(f"schema id {schema_id}", rule)
        if isinstance(decoder, MalformedBody):
            raise MalformedBody(f"schema id {schema_id}", str(decoder)) from decoder
        return self._taken(decoder, body[HEADER.size :])

    def _taken(self, decode: RecordDecoder, body: bytes) -> DecodedBody:
        return self._otlp.decode(encoded(lambda: request_of(mapped(decode(body), self._fields))))

    async def _decoder(self, registry: SchemaRegistry, schema_id: int) -> RecordDecoder | MalformedBody:
        try:
            return decoder_of(await registry.schema(schema_id), self._kind)
        except MalformedBody as error:
            return error


class VectorContent:
    """Metric events of Vector."""

    def __init__(self, service_labels: tuple[str, ...], otlp: BodyDecoder) -> None:
        self._service_labels = service_labels
        self._otlp = otlp

    async def prepare(self, messages: Sequence[TopicMessage]) -> None:
        """Nothing is needed."""

    def read(self, message: TopicMessage, limit: int) -> DecodedBody:
        """Return what a message holds."""
        event = json_record(plain(message, limit))
        return self._otlp.decode(encoded(lambda: vector_request(event, self._service_labels)))


def encoded(make: Callable[[], bytes]) -> bytes:
    """Return a request; a text that is no Unicode, or a number that does not fit its field, breaks a rule."""
    try:
        return make()
    except (UnicodeEncodeError, ValueError, OverflowError) as error:
        raise MalformedBody("message", f"its texts are Unicode and its numbers fit ({str(error)[:100]})") from error
