"""Loki's push over HTTP: 204 once all of it is on the broker, 400 with what was refused where the rest is.

Source: Grafana Loki, HTTP API. Promtail, Alloy and their kin drop a batch on 400 and send it again on 429 and 503.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

from serving.http.problem import Problem, ProblemError, shown
from serving.ingest.receive.intake_rules import IN_LOOP_LINE_BYTES
from serving.ingest.receive.otlp_endpoint import refusing
from serving.ingest.receive.receivers import Encoding, Receivers, Signal
from serving.ingest.receive.signals.lines.loki_push import accept_loki_push

_JSON: Final = "application/json"
_PROTOBUF: Final = ("", "application/x-protobuf")
COMPRESSED: Final[dict[Encoding, str]] = {"protobuf": "snappy", "json": "identity"}
"""How a body is compressed where its sender does not say."""


class LokiEndpoint:
    """Answers `POST /loki/api/v1/push`."""

    def __init__(self, receivers: Receivers) -> None:
        self._receivers = receivers

    async def answer(self, tenant: str, encoding: Encoding, body: bytes) -> Response:
        """Take a decompressed body; return once it is on the broker.

        Raises:
            OtlpRefusal: nothing of it is kept.
        """
        signal = Signal("logs", "loki", lambda content, intake: accept_loki_push(content, encoding, intake), IN_LOOP_LINE_BYTES)
        outcome = await refusing(self._receivers.records(tenant, signal, body))
        if outcome.rejected:
            return Response(f"kept all but: {outcome.message}\n", 400, media_type="text/plain")
        return Response(status_code=204)


def push_encoding(headers: Headers) -> Encoding:
    """Return the form of a push request by its content type; without one it is protobuf.

    Raises:
        ProblemError: 415, another type.
    """
    given = headers.get("content-type", "")
    media = given.partition(";")[0].strip().lower()
    if media == _JSON:
        return "json"
    if media in _PROTOBUF:
        return "protobuf"
    rule = f"must be {_PROTOBUF[1]} or {_JSON}"
    detail = f"content-type = {shown(given)}: {rule}. Set the header to what the body is."
    raise ProblemError(Problem(415, "content-type", detail, "content-type", shown(given), rule, "set the header"))
