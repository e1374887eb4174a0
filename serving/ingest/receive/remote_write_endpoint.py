"""Remote write over HTTP: 1.0 and 2.0 by content type; every answer says how much was written.

Source: Prometheus Remote-Write 1.0 and 2.0 specifications. Senders drop a batch on 400, 413 and 415, and send it again on 429
(where they are told to) and 503.
"""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

from aiops.errors import Unavailable
from serving.http.problem import Problem, ProblemError, shown
from serving.ingest.receive.group_commit import BacklogFull
from serving.ingest.receive.receipts import Receipt
from serving.ingest.receive.receivers import BACKLOG_RETRY_S, BodyDecoder, Receivers, TooFast
from serving.ingest.receive.wire.decoded import MalformedBody

VERSION_1: Final = "prometheus.WriteRequest"
VERSION_2: Final = "io.prometheus.write.v2.Request"
WRITTEN: Final = "x-prometheus-remote-write-"
NOTHING_WRITTEN: Final = {f"{WRITTEN}{kind}-written": "0" for kind in ("samples", "histograms", "exemplars")}
_MEDIA: Final = "application/x-protobuf"
_PROTOCOLS: Final = {VERSION_1: "remote_write_1", VERSION_2: "remote_write_2"}


class RemoteWriteEndpoint:
    """Answers `POST /api/v1/write`; `decoders` by the name of their message."""

    def __init__(self, receivers: Receivers, decoders: Mapping[str, BodyDecoder]) -> None:
        self._receivers = receivers
        self._decoders = decoders

    async def answer(self, tenant: str, message: str, body: bytes) -> Response:
        """Take a decompressed body of a message that `message_of` named."""
        try:
            receipt = await self._receivers.points(tenant, _PROTOCOLS[message], body, self._decoders[message])
        except MalformedBody as error:
            return _malformed(message, error)
        except TooFast as error:
            return _refusal(429, str(error), error.retry_s)
        except (BacklogFull, Unavailable) as error:  # 503, for what is refused with 429 a sender may drop
            return _refusal(503, str(error), BACKLOG_RETRY_S)
        return _answer(receipt)

    def malformed(self, message: str, error: MalformedBody) -> Response:
        """Answer a body that could not even be uncompressed."""
        self._receivers.metrics.malformed.labels(_PROTOCOLS[message]).inc()
        return _malformed(message, error)


def message_of(headers: Headers) -> str:
    """Return the message that a request's content type names; without a parameter it is that of 1.0.

    >>> message_of(Headers({"content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}))
    'io.prometheus.write.v2.Request'

    Raises:
        ProblemError: 415, another type.
    """
    given = headers.get("content-type", "")
    media, _, rest = given.partition(";")
    parameters = dict(_parameter(part) for part in rest.split(";") if part.strip())
    message = parameters.get("proto", VERSION_1)
    if media.strip().lower() == _MEDIA and message in _PROTOCOLS:
        return message
    rule = f"must be {_MEDIA};proto={VERSION_2} (or {VERSION_1}, which is meant without a parameter)"
    detail = f"content-type = {shown(given) or 'missing'}: {rule}."
    raise ProblemError(Problem(415, "content-type", detail, "content-type", shown(given), rule, "send remote write 1.0 or 2.0"))


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _answer(receipt: Receipt) -> Response:
    written = {"samples": receipt.samples, "histograms": receipt.histograms, "exemplars": receipt.exemplars}
    headers = {f"{WRITTEN}{kind}-written": str(count) for kind, count in written.items()}
    if receipt.repeated:
        headers["x-aiops-repeated"] = str(receipt.repeated)
    if receipt.refused or receipt.refusals:
        return Response(f"kept all but: {receipt.text()}\n", 400, headers, "text/plain")
    return Response(status_code=204, headers=headers)


def _malformed(message: str, error: MalformedBody) -> Response:
    return _refusal(400, f"no {message}: {error}; nothing of it was kept")


def _refusal(status: int, text: str, retry_s: int = 0) -> Response:
    headers = {**NOTHING_WRITTEN, **({"retry-after": str(retry_s)} if retry_s else {})}
    return Response(f"{text}\n", status, headers, "text/plain")
