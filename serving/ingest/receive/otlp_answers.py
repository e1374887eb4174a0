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
        text = self.message.encode()
        inner = (b"\x08" + _varint(self.rejected) if self.rejected else b"") + b"\x12" + _varint(len(text)) + text
        return b"\x0a" + _varint(len(inner)) + inner


def status_body(status: int, message: str, retry_s: int, form: Form) -> bytes:
    """Return a `google.rpc.Status` with the gRPC code of an HTTP status; one that may be tried again says when (RetryInfo)."""
    code = _CODES.get(status, 2)
    if form == "json":
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_s}s"}] if retry_s else []
        return orjson.dumps({"code": code, "message": message, "details": details})
    return status_details(code, message, retry_s)


def status_details(code: int, message: str, retry_s: int) -> bytes:
    """Return an encoded `google.rpc.Status`, with RetryInfo where `retry_s` > 0."""
    from google.rpc import status_pb2

    status = status_pb2.Status(code=code, message=message)
    if retry_s:
        status.details.add().Pack(_retry_info(retry_s))
    return status.SerializeToString()


def retry_info(retry_s: int) -> bytes:
    """Return an encoded `google.rpc.RetryInfo`."""
    return bytes(_retry_info(retry_s).SerializeToString())


def _retry_info(retry_s: int):  # type: ignore[no-untyped-def]
    from google.rpc import error_details_pb2

    info = error_details_pb2.RetryInfo()
    info.retry_delay.seconds = retry_s
    return info


def retry_of(status: int, retry_s: int) -> int:
    """Return when to try again, 0 = never: only what is retryable has a time."""
    return max(1, retry_s) if status in _RETRYABLE else 0


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
