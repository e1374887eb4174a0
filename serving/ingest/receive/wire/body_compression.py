"""Bodies as they were before they were compressed, never larger than a limit: a bomb costs no more memory than that.

Snappy says how large a body becomes, and is refused before it is inflated; gzip and zstd are inflated into buffers that
end at the limit.
"""

import struct
from collections.abc import Callable
from typing import Final

import cramjam

from aiops.errors import ContractError
from serving.ingest.receive.wire.decoded import MalformedBody

ENCODINGS: Final = ("identity", "snappy", "zstd", "gzip")
"""Values of Content-Encoding that can be read; none stands for identity."""

_FULL: Final = "failed to write whole buffer"
"""What the library says where the output is larger than its buffer."""
_FIRST_GUESS: Final = 16
_GROWTH: Final = 8
_LEAST: Final = 1 << 12


class BodyTooLarge(ContractError):
    """A body is larger than the limit, as it is or inflated; nothing of it is kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"body: at most {limit} bytes, uncompressed; send fewer points a request")
        self.limit = limit


class UnknownEncoding(ContractError):
    """A body is compressed in a way that is not known here."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"Content-Encoding: {encoding[:40]!r} is not one of {', '.join(ENCODINGS)}")
        self.encoding = encoding


def uncompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body of Content-Encoding `encoding` (empty = identity; case is ignored) uncompressed: at most `limit` bytes.

    Raises:
        BodyTooLarge: it is larger than `limit`.
        MalformedBody: it cannot be inflated.
        UnknownEncoding: `encoding` is not one of ENCODINGS.
    """
    name = encoding.strip().lower() or "identity"
    if name not in ENCODINGS:
        raise UnknownEncoding(encoding)
    if len(body) > limit:
        raise BodyTooLarge(limit)
    if name == "identity":
        return body
    try:
        return _from_snappy(body, limit) if name == "snappy" else _inflated(body, name, limit)
    except cramjam.DecompressionError as error:
        raise MalformedBody("body", f"it is {name}: {str(error)[:100]}") from error


def _from_snappy(body: bytes, limit: int) -> bytes:
    """Inflate the block format, which remote write uses, not the framed one."""
    if cramjam.snappy.decompress_raw_len(body) > limit:
        raise BodyTooLarge(limit)
    return bytes(cramjam.snappy.decompress_raw(body))


def _inflated(body: bytes, name: str, limit: int) -> bytes:
    if not body:
        raise MalformedBody("body", f"it is {name}: not empty")
    inflate: Callable[[bytes, bytearray], int] = getattr(cramjam, name).decompress_into
    size = min(limit, max(_guess(body, name), _LEAST))
    while True:
        output = bytearray(size)
        try:
            filled = inflate(body, output)
        except cramjam.DecompressionError as error:
            if str(error) != _FULL:
                raise
            if size == limit:
                raise BodyTooLarge(limit) from error
            size = min(limit, size * _GROWTH)
        else:
            return bytes(memoryview(output)[:filled])


def _guess(body: bytes, name: str) -> int:
    """Return how large a body may become: gzip says so at its end, though not to be relied on."""
    return int(struct.unpack("<I", body[-4:])[0]) if name == "gzip" and len(body) >= 4 else _FIRST_GUESS * len(body)
