"""Bodies: of a type that browsers do not send to other sites without asking, not compressed, and never larger than allowed."""

import asyncio
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.types import Message, Receive

from serving.http.problem import Problem, ProblemError, shown

JSON: Final = "application/json"


def content_type(request: Request, supported: Sequence[str]) -> str:
    """Return the body's media type, one of `supported`.

    Raises:
        ProblemError: 415, another type or charset, or a compressed body.
    """
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    encoding = request.headers.get("content-encoding", "identity").lower()
    media = kind.strip().lower()
    if media in supported and charset in {"", "charset=utf-8"} and encoding == "identity":
        return media
    rule = f"must be {' or '.join(supported)}, not compressed"
    value = shown(given if encoding == "identity" else f"{given}, content-encoding {encoding}")
    detail = f"content-type = {value or 'missing'}: {rule}. Set the header to what the body is."
    raise ProblemError(Problem(415, "content-type", detail, "content-type", value, rule, "set the header"))


def limited(request: Request, most: int, seconds: float | None = None) -> Receive:
    """Return the body's messages; whether its length is announced or it comes in chunks, never more than `most` bytes.

    All of it must be there within `seconds` (None = somebody else watches the time): one that trickles in forever would hold
    its place forever.

    Raises:
        ProblemError: 413; reading raises 413 and 504.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    size = 0
    ends_at = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def receive() -> Message:
        nonlocal size
        try:
            async with asyncio.timeout_at(ends_at):
                message = await request.receive()
        except TimeoutError as error:
            rule = f"must be there within {seconds:g} s"
            raise ProblemError(
                Problem(504, "timeout", f"body: {rule}. Send it faster.", "body", "", rule, "send it faster")
            ) from error
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        return message

    return receive


async def whole_body(request: Request, most: int) -> bytes:
    """Return the body, at most `most` bytes.

    Raises:
        ProblemError: 413.
        ClientDisconnect: the caller left before it was there.
    """
    return await Request(request.scope, limited(request, most)).body()


def _too_large(most: int) -> ProblemError:
    rule = f"at most {most} bytes"
    detail = f"body: {rule}. Split it into several requests."
    return ProblemError(Problem(413, "body-limit", detail, "body", "", rule, "split it into several requests"))
