"""Answers of OTLP: what was accepted in part, and refusals as `google.rpc.Status`; protobuf or JSON as the request was.

Source: OpenTelemetry Protocol 1.x, sections OTLP/HTTP response and OTLP/gRPC throttling.
"""

from dataclasses import dataclass
from typing import Final, Literal

import orjson

Form = Literal["protobuf", "json"]
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MEDIA: Final[dict[Form, str]] = {"protobuf": PROTOBUF, "json": JSON}
COUNTED: Final = {"metrics": "rejectedDataPoints", "logs": "rejectedLogRecords", "traces": "rejectedSpans"}
_RETRYABLE: Final = frozenset({429, 503})
_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 413: 3, 415: 3, 429: 8, 503: 14}
"""HTTP status → gRPC code."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a request: how much was rejected, and why, "" where nothing is to be said."""

    signal: str
    rejected: int = 0
    message: str = ""

    def encoded(self, form: Form) -> bytes:
        """Return the Export…ServiceResponse; a warning without a rejection is a partial success with 0 rejected, as specified.

        >>> Accepted("metrics").encoded("json"), Accepted("metrics").encoded("protobuf")
        (b'{}', b'')
        """
        if not self.rejected and not self.message:
            return b"{}" if form == "json" else b""
        if form == "json":
            partial = {COUNTED[self.signal]: str(self.rejected), "errorMessage": self.message}
            return orjson.dumps({"partialSuccess": partial})
        rejected = b"\x08" + _varint(self.rejected) if self.rejected else b""
        return message_field(1, rejected + message_field(2, self.message.encode()))


def status_body(status: int, message: str, retry_s: int, form: Form) -> bytes:
    """Return a `google.rpc.Status` with the gRPC code of an HTTP status; one that may be tried again says when (RetryInfo)."""
    code = _CODES.get(status, 2)
    if form == "json":
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_s}s"}] if retry_s else []
        return orjson.dumps({"code": code, "message": message, "details": details})
    return status_details(code, message, retry_s)


def status_details(code: int, message: str, retry_s: int) -> bytes:
    """Return an encoded `google.rpc.Status`, with RetryInfo among its details where `retry_s` > 0.

    Status: code = 1, message = 2, details = 3 (Any: type_url = 1, value = 2). Source: googleapis, google/rpc/status.proto.
    """
    status = b"\x08" + _varint(code) + message_field(2, message.encode())
    if retry_s:
        packed = message_field(1, b"type.googleapis.com/google.rpc.RetryInfo") + message_field(2, retry_info(retry_s))
        status += message_field(3, packed)
    return status


def retry_info(retry_s: int) -> bytes:
    """Return an encoded `google.rpc.RetryInfo`: retry_delay = 1 (Duration: seconds = 1)."""
    return message_field(1, b"\x08" + _varint(retry_s))


def message_field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that holds bytes or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def retry_of(status: int, retry_s: int) -> int:
    """Return when to try again, 0 = never: only what is retryable has a time."""
    return max(1, retry_s) if status in _RETRYABLE else 0


def varint_field(number: int, content: int) -> bytes:
    """Return a field of protobuf that holds an integer from 0."""
    return _varint(number << 3) + _varint(content)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
