"""Bodies of requests: read whole and uncompressed, never larger than allowed."""

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request

from serving.http.content import whole_body
from serving.http.problem import Problem, ProblemError, shown
from serving.ingest.receive.intake_rules import IN_LOOP_COMPRESSED_BYTES
from serving.ingest.receive.loop_sharing import in_or_beside_loop
from serving.ingest.receive.wire.body_compression import ENCODINGS, BodyTooLarge, uncompressed

SETTING: Final = "AIOPS_INGEST__MAX_BODY_BYTES"


def encoding_of(headers: Headers, otherwise: str) -> str:
    """Return how a body is compressed; `otherwise` where the sender does not say.

    Raises:
        ProblemError: 415, in a way that is not known here.
    """
    given = headers.get("content-encoding", "").strip().lower() or otherwise
    if given in ENCODINGS:
        return given
    rule = f"must be one of {', '.join(ENCODINGS)}"
    detail = f"content-encoding = {shown(given)}: {rule}. Compress by one of these."
    raise ProblemError(
        Problem(415, "content-encoding", detail, "content-encoding", shown(given), rule, "compress by one of these")
    )


async def read_body(request: Request, encoding: str, most: int) -> bytes:
    """Return a body, uncompressed.

    Raises:
        ProblemError: 413, larger than `most` bytes, compressed or not.
        MalformedBody: it is not compressed as its header says.
        ClientDisconnect: the caller left before it was there.
    """
    body = await whole_body(request, most)
    return await in_or_beside_loop(len(body) > IN_LOOP_COMPRESSED_BYTES, lambda: inflated(body, encoding, most))


def inflated(body: bytes, encoding: str, most: int) -> bytes:
    """Return a compressed body uncompressed; raises as `read_body`."""
    try:
        return uncompressed(body, encoding, most)
    except BodyTooLarge as error:
        raise ProblemError(Problem(413, "body-limit", str(error), SETTING, "", f"at most {most} bytes", "send less")) from error
