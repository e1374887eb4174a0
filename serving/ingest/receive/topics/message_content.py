"""What messages of topics hold: the formats that receivers read over HTTP, as other programs put them into Kafka.

A message says by its header `content-encoding` how it is compressed; without one, remote write may be snappy or not, which its
bytes tell. Versions of remote write are told apart by the fields that a message has: 1.0 has 1 and 3, 2.0 has 4 and 5.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from serving.ingest.receive.receivers import BodyDecoder
from serving.ingest.receive.topics.topic_messages import TopicMessage
from serving.ingest.receive.wire.body_compression import uncompressed
from serving.ingest.receive.wire.decoded import DecodedBody, MalformedBody

OTLP_PROTO: Final = "otlp_proto"
OTLP_JSON: Final = "otlp_json"
REMOTE_WRITE: Final = "remote_write"
ENCODING: Final = "content-encoding"
_VERSION_2_FIELDS: Final = frozenset({4, 5})
_LENGTH_DELIMITED: Final = 2


class ContentReader(Protocol):
    """Reads messages with metrics of one encoding."""

    async def prepare(self, messages: Sequence[TopicMessage]) -> None:
        """Fetch what reading these messages needs; raises Unavailable."""

    def read(self, message: TopicMessage, limit: int) -> DecodedBody:
        """Return what a message holds that is at most `limit` bytes; raises MalformedBody, BodyTooLarge, UnknownEncoding."""


class OtlpContent:
    """Metrics of OTLP, by the decoder of one of its forms."""

    def __init__(self, decoder: BodyDecoder) -> None:
        self._decoder = decoder

    async def prepare(self, messages: Sequence[TopicMessage]) -> None:
        """Nothing is needed."""

    def read(self, message: TopicMessage, limit: int) -> DecodedBody:
        """Return what a message holds."""
        return self._decoder.decode(plain(message, limit))


class RemoteWriteContent:
    """Remote write, by the decoders of 1.0 and 2.0."""

    def __init__(self, version_1: BodyDecoder, version_2: BodyDecoder) -> None:
        self._version_1 = version_1
        self._version_2 = version_2

    async def prepare(self, messages: Sequence[TopicMessage]) -> None:
        """Nothing is needed."""

    def read(self, message: TopicMessage, limit: int) -> DecodedBody:
        """Return what a message holds."""
        body = plain(message, limit) if ENCODING in message.headers else maybe_snappy(present(message), limit)
        return (self._version_2 if is_version_2(body) else self._version_1).decode(body)


def metric_contents(otlp: BodyDecoder, otlp_json: BodyDecoder, remote_write: RemoteWriteContent) -> Mapping[str, ContentReader]:
    """Return the readers by encoding."""
    return {OTLP_PROTO: OtlpContent(otlp), OTLP_JSON: OtlpContent(otlp_json), REMOTE_WRITE: remote_write}


def present(message: TopicMessage) -> bytes:
    """Return the bytes of a message; raises MalformedBody where it has none."""
    if not message.content:
        raise MalformedBody("message", "it is not empty")
    return message.content


def plain(message: TopicMessage, limit: int) -> bytes:
    """Return a message uncompressed, as its header says; raises MalformedBody, BodyTooLarge, UnknownEncoding."""
    return uncompressed(present(message), message.headers.get(ENCODING, ""), limit)


def maybe_snappy(body: bytes, limit: int) -> bytes:
    """Return a body of remote write uncompressed: bytes that are no whole block of snappy are taken as they are.

    A block says how long it becomes, and every one of its parts has to fit that exactly; a request that happens to is not known.
    """
    try:
        return uncompressed(body, "snappy", limit)
    except MalformedBody:
        return uncompressed(body, "identity", limit)


def is_version_2(body: bytes) -> bool:
    """Return whether the first field of a request is one that only 2.0 has.

    >>> is_version_2(bytes([4 << 3 | 2, 0])), is_version_2(bytes([1 << 3 | 2, 0]))
    (True, False)
    """
    return bool(body) and body[0] & 7 == _LENGTH_DELIMITED and body[0] >> 3 in _VERSION_2_FIELDS
