"""How a body is encoded: read whole, never larger than allowed, compressed or not."""

from typing import Final

import cramjam
import numpy as np
from starlette.datastructures import Headers
from starlette.requests import Request

from serving.http.content import whole_body
from serving.http.problem import Problem, ProblemError, refused, shown

SNAPPY: Final = "snappy"
ENCODINGS: Final = frozenset({"identity", SNAPPY, "zstd", "gzip"})
_FRAMES: Final = {"zstd": cramjam.zstd, "gzip": cramjam.gzip}


def encoding_of(headers: Headers, otherwise: str) -> str:
    """Return how a body is compressed; `otherwise` where the sender does not say.

    Raises:
        ProblemError: 415, another encoding.
    """
    given = headers.get("content-encoding", "").strip().lower() or otherwise
    if given in ENCODINGS:
        return given
    rule = f"must be one of {', '.join(sorted(ENCODINGS))}"
    detail = f"content-encoding = {shown(given)}: {rule}. Compress by one of these."
    raise ProblemError(
        Problem(415, "content-encoding", detail, "content-encoding", shown(given), rule, "compress by one of these")
    )


async def read_body(request: Request, encoding: str, most: int) -> bytes:
    """Return a body, decompressed.

    Raises:
        ProblemError: 413, larger than `most` bytes, compressed or not; 400, not compressed as its header says.
    """
    return decompressed(await whole_body(request, most), encoding, most)


def decompressed(body: bytes, encoding: str, most: int) -> bytes:
    """Return the bytes of a compressed body; never more than `most` are written.

    Raises:
        ProblemError: as `read_body`.
    """
    if encoding == "identity":
        return body
    try:
        if encoding == SNAPPY:
            if _announced(body) > most:
                raise _too_large(most)
            return bytes(cramjam.snappy.decompress_raw(body))
        room = np.empty(most + 1, np.uint8)
        size = _FRAMES[encoding].decompress_into(body, room)
    except cramjam.DecompressionError as error:
        if "write" in str(error):
            raise _too_large(most) from error
        raise refused("body", "", f"is not compressed by {encoding}", "set content-encoding to what the body is") from error
    if size > most:
        raise _too_large(most)
    return room[:size].tobytes()


def _announced(body: bytes) -> int:
    """Return the size that a snappy block says it has."""
    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size
        shift += 7
    raise refused("body", "", "is no snappy block", "compress it by snappy's block format")


def _too_large(most: int) -> ProblemError:
    rule = f"at most {most} bytes, decompressed (AIOPS_INGEST__MAX_BODY_BYTES)"
    detail = f"body: {rule}. Send less at once."
    return ProblemError(Problem(413, "body-limit", detail, "body", "", rule, "send less at once"))
