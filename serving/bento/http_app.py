"""The HTTP endpoints: /score, /predict_incident, /season, /root_cause, /explain and the OpenAPI description, as one application.

It is mounted into the BentoML service; `http_gate` stands before it and has checked who calls.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.bento import explaining
from serving.bento.answer_bytes import answer_arrow, answer_json, explanation_json
from serving.bento.arrow_rows import ARROW_STREAM, parse_arrow
from serving.bento.call_gate import INLINE_BYTES
from serving.bento.json_rows import JsonRequest, parse_json
from serving.bento.openapi import openapi_json
from serving.bento.root_cause import ROOT_CAUSE, root_cause_json
from serving.bento.root_cause_request import parse_root_cause
from serving.bento.runtime import Runtime
from serving.bento.scoring import EXPLAIN, Endpoint, scoring_endpoints
from serving.bento.season import MODEL, SEASON, season_arrow, season_json
from serving.bento.season_rows import parse_season_arrow, parse_season_json
from serving.http.problem import PROBLEM_JSON, Problem, ProblemError

JSON: Final = "application/json"
REQUEST_ID_KEY: Final = "aiops.request_id"
_CLIENT_GONE: Final = 499
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class RuntimeHolder:
    """Where the worker puts its runtime once it is built; the routes exist before."""

    runtime: Runtime | None = None

    def get(self) -> Runtime:
        """Return the runtime.

        Raises:
            ProblemError: 503, the worker is still starting.
        """
        if self.runtime is None:
            raise ProblemError(Problem(503, "starting", "the service is starting. Try again in a moment."))
        return self.runtime


def create_app(holder: RuntimeHolder) -> Starlette:
    """Return the application; it answers 503 until `holder` has a runtime."""
    any_method = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    handlers: dict[str, Handler] = {
        **{endpoint.path: partial(_scored, holder, endpoint) for endpoint in scoring_endpoints()},
        SEASON.path: partial(_judged, holder),
        ROOT_CAUSE.path: partial(_root_cause, holder),
        EXPLAIN.path: partial(_explained, holder),
    }
    routes = [Route(path, handler, methods=any_method) for path, handler in handlers.items()]
    routes += [Route(path, _openapi, methods=["GET"]) for path in ("/docs.json", "/openapi.json")]
    return Starlette(routes=routes, exception_handlers={Exception: _failed})


async def _failed(request: Request, _: Exception) -> Response:
    """Answer a defect without a word about it; the server logs the exception itself."""
    detail = "the service failed on this request; its log says why, under the time of the call. Report the request id."
    return problem_response(Problem(500, "defect", detail), request.scope[REQUEST_ID_KEY])


def problem_response(problem: Problem, request_id: str) -> Response:
    """Return a problem as `application/problem+json`, with the headers that its status asks for."""
    return Response(problem.to_json(request_id), problem.status, problem.headers(request_id), PROBLEM_JSON)


@dataclass(slots=True)
class _Call:
    """One call in progress; `response` is what will be answered."""

    request_id: str
    response: Response


@asynccontextmanager
async def _counted(holder: RuntimeHolder, request: Request) -> AsyncIterator[_Call]:
    """Turn problems into answers, and count and time the call."""
    started = time.perf_counter()
    path = request.url.path
    call = _Call(request.scope[REQUEST_ID_KEY], Response(status_code=500))
    try:
        yield call
    except ProblemError as error:
        call.response = problem_response(error.problem, call.request_id)
    except ClientDisconnect:
        call.response = Response(status_code=_CLIENT_GONE)
    finally:
        if holder.runtime is not None:
            metrics = holder.runtime.metrics
            metrics.requests.labels("http", path, str(call.response.status_code)).inc()
            metrics.seconds.labels("http", path).observe(time.perf_counter() - started)


async def _scored(holder: RuntimeHolder, endpoint: Endpoint, request: Request) -> Response:
    async with _counted(holder, request) as call:
        runtime = holder.get()
        async with runtime.gate.call():
            kind = _content_type(request, (JSON, ARROW_STREAM))
            body = await _body(request, runtime.settings.max_body_bytes)
            long = len(body) > INLINE_BYTES
            parse = partial(_rows, kind, body, runtime.settings.max_rows)
            rows = (await runtime.gate.work(parse, long)).rows
            score = partial(runtime.scoring.answer, endpoint, rows, call.request_id)
            answer = await runtime.gate.work(score, long or bool(rows.looked_up.any()))
            encode = partial(answer_arrow if kind == ARROW_STREAM else answer_json, answer)
            payload = await runtime.gate.work(encode, long)
        runtime.scoring.record(answer)
        call.response = _answered(payload, kind, call.request_id, (answer.model, answer.versions[0]))
    return call.response


async def _judged(holder: RuntimeHolder, request: Request) -> Response:
    async with _counted(holder, request) as call:
        runtime = holder.get()
        async with runtime.gate.call():
            kind = _content_type(request, (JSON, ARROW_STREAM))
            body = await _body(request, runtime.settings.max_body_bytes)
            long = len(body) > INLINE_BYTES
            parse = parse_season_arrow if kind == ARROW_STREAM else parse_season_json
            rows = await runtime.gate.work(partial(parse, body, runtime.settings.max_rows), long)
            answer = await runtime.gate.work(partial(runtime.season.answer, rows, call.request_id), long=True)
            encode = partial(season_arrow if kind == ARROW_STREAM else season_json, answer)
            payload = await runtime.gate.work(encode, long)
        call.response = _answered(payload, kind, call.request_id, (MODEL, answer.version))
    return call.response


async def _root_cause(holder: RuntimeHolder, request: Request) -> Response:
    async with _counted(holder, request) as call:
        runtime = holder.get()
        async with runtime.analyses.call():
            _content_type(request, (JSON,))
            body = await _body(request, runtime.settings.max_body_bytes)
            question = await runtime.analyses.work(partial(parse_root_cause, body, runtime.settings.max_rows), long=True)
            answer = await runtime.analyses.work(partial(runtime.root_causes.answer, question, call.request_id), long=True)
        call.response = _answered(root_cause_json(answer), JSON, call.request_id, (ROOT_CAUSE.model, answer.version))
    return call.response


async def _explained(holder: RuntimeHolder, request: Request) -> Response:
    async with _counted(holder, request) as call:
        runtime = holder.get()
        async with runtime.gate.call():
            _content_type(request, (JSON,))
            body = await _body(request, runtime.settings.max_body_bytes)
            wanted = parse_json(body, min(explaining.MAX_ROWS, runtime.settings.max_rows), explain=True)
            task = partial(explaining.explain, runtime.scoring, wanted.model, wanted.rows, call.request_id)
            explanation = await runtime.gate.work(task, long=True)
            payload = await runtime.gate.work(partial(explanation_json, explanation), long=True)
        model = (explanation.model, explanation.model_version)
        call.response = _answered(payload, JSON, call.request_id, model)
    return call.response


def _rows(kind: str, body: bytes, max_rows: int) -> JsonRequest:
    return JsonRequest(parse_arrow(body, max_rows)) if kind == ARROW_STREAM else parse_json(body, max_rows)


def _answered(payload: bytes, kind: str, request_id: str, model: tuple[str, str]) -> Response:
    headers = {"x-request-id": request_id, "x-model-name": model[0], "x-model-version": model[1]}
    return Response(payload, 200, headers, kind)


def _content_type(request: Request, supported: tuple[str, ...]) -> str:
    if request.method != "POST":
        detail = f"method = {request.method}: this path takes POST only."
        raise ProblemError(Problem(405, "method", detail, "method", request.method, "POST", "send POST"))
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    kind = kind.strip().lower()
    encoding = request.headers.get("content-encoding", "identity")
    charset = parameters.strip().lower().replace('"', "")
    rule = f"one of {', '.join(supported)}, not compressed"
    if kind not in supported or charset not in {"", "charset=utf-8"} or encoding.lower() != "identity":
        value = given if encoding.lower() == "identity" else f"{given}, content-encoding {encoding}"
        detail = f"content-type = {value[:100] or 'missing'}: {rule}. Set the header to what the body is."
        raise ProblemError(Problem(415, "content-type", detail, "content-type", value[:100], rule, "set the header"))
    return kind


async def _body(request: Request, max_bytes: int) -> bytes:
    """Return the whole body; it is never held beyond `max_bytes`, whether its length is announced or it comes in chunks."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(max_bytes: int) -> ProblemError:
    rule = f"at most {max_bytes} bytes"
    detail = f"body: {rule}. Split it into several requests."
    return ProblemError(Problem(413, "body-limit", detail, "body", "", rule, "split it into several requests"))


async def _openapi(_: Request) -> Response:
    return Response(openapi_json(), media_type=JSON)
