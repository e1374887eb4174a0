"""Log lines over HTTP: form and resource by the query, an answer that counts; refusals are problem JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from serving.http.problem import Problem, refused
from serving.http.problem_response import problem_response
from serving.http.request_gate import REQUEST_ID
from serving.ingest.receive.intake_rules import IN_LOOP_LINE_BYTES
from serving.ingest.receive.otlp_endpoint import OtlpRefusal, refusing
from serving.ingest.receive.receivers import Receivers, Signal
from serving.ingest.receive.signals.lines.log_lines import LINE_FORMS, LineForm, accept_log_lines
from serving.ingest.receive.signals.signal_outcome import SignalOutcome

FORM: Final = "form"
_MOST_ATTRIBUTES: Final = 32
_MOST_TEXT: Final = 1000


@dataclass(frozen=True, slots=True)
class LineRequest:
    """The form of a body of lines, and attributes of the resource that hold for all of them."""

    form: LineForm
    resource: Mapping[str, str]


class LineEndpoint:
    """Answers `POST /v1/logs/lines`."""

    def __init__(self, receivers: Receivers) -> None:
        self._receivers = receivers

    async def answer(self, tenant: str, wanted: LineRequest, body: bytes) -> Response:
        """Take a decompressed body; return once it is on the broker.

        Raises:
            OtlpRefusal: nothing of it is kept.
        """
        read = partial(accept_log_lines, form=wanted.form, resource=wanted.resource)
        signal = Signal("logs", "lines", lambda content, intake: read(content, intake=intake), IN_LOOP_LINE_BYTES)
        return _answer(await refusing(self._receivers.records(tenant, signal, body)))


def line_request(query: QueryParams) -> LineRequest:
    """Return what a query asks for: `form`, and names with a dot as attributes of the resource.

    >>> line_request(QueryParams("form=text&service.name=cart"))
    LineRequest(form='text', resource={'service.name': 'cart'})

    Raises:
        ProblemError: 400, another form or parameter.
    """
    resource = dict(query)
    form = resource.pop(FORM, "auto")
    if form not in LINE_FORMS:
        raise refused(FORM, form, f"must be one of {', '.join(LINE_FORMS)}", "name the form of the body, or leave it out")
    for name, text in resource.items():
        if "." not in name:
            raise refused(name, text, "is no parameter, nor an attribute of a resource, which has a dot", "leave it out")
        if len(name) > _MOST_TEXT or len(text) > _MOST_TEXT:
            raise refused(name, text, f"must have at most {_MOST_TEXT} characters", "shorten it")
    if len(resource) > _MOST_ATTRIBUTES:
        raise refused("query", "", f"may have at most {_MOST_ATTRIBUTES} attributes", "leave some out")
    return LineRequest(cast(LineForm, form), resource)


def problem_of(refusal: OtlpRefusal, request: Request) -> Response:
    """Return a refusal as problem JSON."""
    kinds = {400: "body", 413: "body-limit", 415: "content-encoding", 429: "too-fast", 503: "unavailable"}
    problem = Problem(refusal.status, kinds.get(refusal.status, "refused"), refusal.text)
    response = problem_response(problem, request.scope[REQUEST_ID])
    if refusal.retry_s:
        response.headers["retry-after"] = str(refusal.retry_s)
    return response


def _answer(outcome: SignalOutcome) -> Response:
    content: dict[str, Any] = {"accepted": outcome.accepted, "rejected": outcome.rejected, "message": outcome.message}
    return Response(orjson.dumps(content), 200, media_type="application/json")
