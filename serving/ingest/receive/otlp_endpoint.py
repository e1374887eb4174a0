"""OTLP over HTTP: metrics, logs and traces, protobuf or JSON; refusals are `google.rpc.Status` in the form of the request."""

from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

from starlette.datastructures import Headers
from starlette.responses import Response

from aiops.errors import Unavailable
from serving.http.problem import Problem, ProblemError, shown
from serving.ingest.receive.group_commit import BacklogFull
from serving.ingest.receive.intake_rules import IN_LOOP_BYTES
from serving.ingest.receive.otlp_answers import MEDIA, Accepted, Form, retry_of, status_body
from serving.ingest.receive.receivers import BACKLOG_RETRY_S, BodyDecoder, Receivers, Signal, SignalReader, TooFast
from serving.ingest.receive.wire.decoded import DecodedBody, MalformedBody
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder

Answer = TypeVar("Answer")
_FORM_OF: Final[Mapping[str, Form]] = {media: form for form, media in MEDIA.items()}


class OtlpJson:
    """Reads metrics in JSON by the decoder of protobuf."""

    in_loop_bytes: Final = IN_LOOP_BYTES

    def __init__(self, decoder: OtlpMetricsDecoder) -> None:
        self._decoder = decoder

    def decode(self, body: bytes) -> DecodedBody:
        """Return what a body holds; raises MalformedBody."""
        return self._decoder.decode_json(body)


class OtlpIntake:
    """Takes requests of OTLP, whichever way they came; `decoders` of metrics by form, `readers` of logs and traces by name."""

    def __init__(self, receivers: Receivers, decoders: Mapping[Form, BodyDecoder], readers: Mapping[str, SignalReader]) -> None:
        self.receivers = receivers
        self._decoders = decoders
        self._readers = readers

    async def accept(self, signal: str, tenant: str, form: Form, body: bytes) -> Accepted:
        """Return what became of a decompressed request.

        Raises:
            OtlpRefusal: nothing of it is kept.
        """
        return await refusing(self._accept(signal, tenant, form, body))

    async def _accept(self, signal: str, tenant: str, form: Form, body: bytes) -> Accepted:
        if signal == "metrics":
            receipt = await self.receivers.points(tenant, "otlp", body, self._decoders[form])
            return Accepted(signal, receipt.refused_points, receipt.warning())
        reader = self._readers[signal]
        kind = Signal(signal, f"otlp_{signal}", lambda content, intake: reader(content, form, intake))
        outcome = await self.receivers.records(tenant, kind, body)
        return Accepted(signal, outcome.rejected, outcome.message)


class OtlpRefusal(Exception):
    """A request of which nothing is kept: HTTP status, why, and after how many seconds to send it again (0 = never)."""

    def __init__(self, status: int, text: str, retry_s: int = 0) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_s = retry_of(status, retry_s)


async def refusing(answer: Awaitable[Answer]) -> Answer:
    """Return an answer; what refuses a request becomes an `OtlpRefusal`."""
    try:
        return await answer
    except MalformedBody as error:
        raise OtlpRefusal(400, f"body: {error}; nothing of it was kept") from error
    except TooFast as error:
        raise OtlpRefusal(429, str(error), error.retry_s) from error
    except BacklogFull as error:
        raise OtlpRefusal(429, str(error), BACKLOG_RETRY_S) from error
    except Unavailable as error:
        raise OtlpRefusal(503, str(error), BACKLOG_RETRY_S) from error
    except ProblemError as error:
        raise OtlpRefusal(error.problem.status, error.problem.detail, 1) from error


def form_of(headers: Headers) -> Form:
    """Return the form of a request by its content type.

    Raises:
        ProblemError: 415, another type.
    """
    given = headers.get("content-type", "")
    form = _FORM_OF.get(given.partition(";")[0].strip().lower())
    if form is not None:
        return form
    rule = f"must be {' or '.join(_FORM_OF)}"
    detail = f"content-type = {shown(given) or 'missing'}: {rule}. Set the header to what the body is."
    raise ProblemError(Problem(415, "content-type", detail, "content-type", shown(given), rule, "set the header"))


def answer_of(accepted: Accepted, form: Form) -> Response:
    """Return 200 with what was accepted in part."""
    return Response(accepted.encoded(form), 200, media_type=MEDIA[form])


def refusal_of(refusal: OtlpRefusal, form: Form) -> Response:
    """Return a refusal in the form of its request."""
    body = status_body(refusal.status, refusal.text, refusal.retry_s, form)
    headers = {"retry-after": str(refusal.retry_s)} if refusal.retry_s else {}
    return Response(body, refusal.status, headers, MEDIA[form])
