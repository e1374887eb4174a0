"""The HTTP endpoints /score, /predict_incident, /season, /root_cause and /explain, as one application.

It is mounted into the BentoML service, behind `serving.http.request_gate` and `access`, which have checked who calls, and for
whom; what is refused here is raised, and the gate answers it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from serving.http.content import JSON, content_type, whole_body
from serving.http.request_gate import REQUEST_ID
from serving.scoring.answers import explanations
from serving.scoring.answers.answer_encoding import answer_arrow, answer_json, explanation_json
from serving.scoring.answers.call_gate import INLINE_BYTES
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.root_cause_answers import ROOT_CAUSE, root_cause_json
from serving.scoring.answers.scoring import EXPLAIN, Answer, Endpoint, Scoring, scoring_endpoints
from serving.scoring.answers.season_answers import MODEL, SEASON, season_arrow, season_json
from serving.scoring.http_api.access import TENANT
from serving.scoring.http_api.runtime_holder import RuntimeHolder
from serving.scoring.requests.arrow_rows import ARROW_STREAM, parse_arrow
from serving.scoring.requests.json_rows import parse_json
from serving.scoring.requests.root_cause_request import parse_root_cause
from serving.scoring.requests.season_rows import parse_season_arrow, parse_season_json
from serving.scoring.requests.vector_rows import RequestRows

Handler = Callable[[Request], Awaitable[Response]]


def create_app(holder: RuntimeHolder) -> Router:
    """Return the application; it answers 503 until `holder` has a runtime."""
    handlers: dict[str, Handler] = {
        **{endpoint.path: partial(_scored, holder, endpoint) for endpoint in scoring_endpoints()},
        SEASON.path: partial(_judged, holder),
        ROOT_CAUSE.path: partial(_root_cause, holder),
        EXPLAIN.path: partial(_explained, holder),
    }
    return Router([Route(path, handler, methods=["POST"]) for path, handler in handlers.items()])


def _origin(request: Request) -> RequestOrigin:
    return RequestOrigin(request.scope[REQUEST_ID], request.scope[TENANT])


async def _scored(holder: RuntimeHolder, endpoint: Endpoint, request: Request) -> Response:
    runtime, origin = holder.get(), _origin(request)
    async with runtime.gate.call():
        kind = content_type(request, (JSON, ARROW_STREAM))
        body = await whole_body(request, runtime.settings.max_body_bytes)
        parse = partial(_rows, kind, body, runtime.settings.max_rows)
        scored = partial(_rows_scored, runtime.scoring, endpoint, origin, kind)
        if len(body) > INLINE_BYTES:  # one change of thread, not one a step
            done = await runtime.gate.work(lambda: scored(parse()), long=True)
        else:
            rows = parse()
            done = await runtime.gate.work(partial(scored, rows), long=bool(rows.looked_up.any()))
    runtime.scoring.record(done.answer)
    return _answered(done.payload, kind, done.answer.model, done.answer.versions[0])


@dataclass(frozen=True, slots=True)
class _Scored:
    """An answer, and the bytes that are sent."""

    answer: Answer
    payload: bytes


def _rows_scored(scoring: Scoring, endpoint: Endpoint, origin: RequestOrigin, kind: str, rows: RequestRows) -> _Scored:
    answer = scoring.answer(endpoint, rows, origin)
    return _Scored(answer, answer_arrow(answer) if kind == ARROW_STREAM else answer_json(answer))


async def _judged(holder: RuntimeHolder, request: Request) -> Response:
    runtime, origin = holder.get(), _origin(request)
    async with runtime.gate.call():
        kind = content_type(request, (JSON, ARROW_STREAM))
        body = await whole_body(request, runtime.settings.max_body_bytes)
        long = len(body) > INLINE_BYTES
        parse = parse_season_arrow if kind == ARROW_STREAM else parse_season_json
        rows = await runtime.gate.work(partial(parse, body, runtime.settings.max_rows), long)
        answer = await runtime.gate.work(partial(runtime.season.answer, rows, origin), long=True)
        encode = partial(season_arrow if kind == ARROW_STREAM else season_json, answer)
        payload = await runtime.gate.work(encode, long)
    return _answered(payload, kind, MODEL, answer.version)


async def _root_cause(holder: RuntimeHolder, request: Request) -> Response:
    runtime, origin = holder.get(), _origin(request)
    async with runtime.analyses.call():
        content_type(request, (JSON,))
        body = await whole_body(request, runtime.settings.max_body_bytes)
        question = await runtime.analyses.work(partial(parse_root_cause, body, runtime.settings.max_rows), long=True)
        answer = await runtime.analyses.work(partial(runtime.root_causes.answer, question, origin), long=True)
    return _answered(root_cause_json(answer), JSON, ROOT_CAUSE.model, answer.version)


async def _explained(holder: RuntimeHolder, request: Request) -> Response:
    runtime, origin = holder.get(), _origin(request)
    async with runtime.gate.call():
        content_type(request, (JSON,))
        body = await whole_body(request, runtime.settings.max_body_bytes)
        wanted = parse_json(body, min(explanations.MAX_ROWS, runtime.settings.max_rows), explain=True)
        task = partial(explanations.explain, runtime.scoring, wanted.model, wanted.rows, origin)
        explanation = await runtime.gate.work(task, long=True)
        payload = await runtime.gate.work(partial(explanation_json, explanation), long=True)
    return _answered(payload, JSON, explanation.model, explanation.model_version)


def _rows(kind: str, body: bytes, max_rows: int) -> RequestRows:
    return parse_arrow(body, max_rows) if kind == ARROW_STREAM else parse_json(body, max_rows).rows


def _answered(payload: bytes, kind: str, model: str, version: str) -> Response:
    return Response(payload, 200, {"x-model-name": model, "x-model-version": version}, kind)
