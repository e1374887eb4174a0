"""The gRPC calls: each checks who calls, for whom and from where, reads its message, answers as HTTP does, and counts itself.

A browser cannot speak plain HTTP/2 to a port, so no page reaches this one; what passes a browser's calls on sends `origin`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, cast

import grpc
from google.protobuf.message import DecodeError, Message
from grpc import aio

from serving.http.loopback import is_loopback
from serving.http.problem import Problem, ProblemError, refused, shown
from serving.http.request_gate import FAILED, LEFT
from serving.http.request_id import request_id_from
from serving.http.request_tenant import FIELD as TENANT_FIELD
from serving.http.request_tenant import tenant_of_request
from serving.scoring.answers import explanations
from serving.scoring.answers.call_gate import INLINE_BYTES
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.root_cause_answers import ROOT_CAUSE
from serving.scoring.answers.scoring import EXPLAIN, PREDICT, SCORE, Answer, Endpoint, Scoring
from serving.scoring.answers.season_answers import SEASON
from serving.scoring.grpc_api.grpc_root_cause import parse_question, root_cause_response
from serving.scoring.grpc_api.grpc_score import explain_response, parse_request, parse_rows, score_response
from serving.scoring.grpc_api.grpc_season import parse_season, season_response
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.requests.vector_rows import RequestRows
from serving.scoring.runtime import Runtime

SERVICE: Final = "aiops.scoring.v1.Scoring"
_STATUS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
Context = aio.ServicerContext[Any, Any]
_logger = logging.getLogger(__name__)


class _Answer(Protocol):
    """Answers one call: its message as bytes, and where it comes from."""

    def __call__(self, runtime: Runtime, body: bytes, origin: RequestOrigin) -> Coroutine[Any, Any, Message]: ...


async def _score(endpoint: Endpoint, runtime: Runtime, body: bytes, origin: RequestOrigin) -> Message:
    async with runtime.gate.call():
        parse = partial(_rows, body, runtime.settings.max_rows)
        scored = partial(_rows_scored, runtime.scoring, endpoint, origin)
        if len(body) > INLINE_BYTES:  # one change of thread, not one a step
            done = await runtime.gate.work(lambda: scored(parse()), long=True)
        else:
            given = parse()
            done = await runtime.gate.work(partial(scored, given), long=bool(given.rows.looked_up.any()))
    runtime.scoring.record(done.answer)
    return done.response


@dataclass(frozen=True, slots=True)
class _Given:
    """The rows of a request, and whether they came as Arrow."""

    rows: RequestRows
    as_arrow: bool


@dataclass(frozen=True, slots=True)
class _Scored:
    """An answer, and the message that is sent."""

    answer: Answer
    response: Message


def _rows(body: bytes, max_rows: int) -> _Given:
    request = _read(pb.ScoreRequest, body)
    return _Given(parse_request(request, max_rows), request.WhichOneof("body") == "arrow_stream")


def _rows_scored(scoring: Scoring, endpoint: Endpoint, origin: RequestOrigin, given: _Given) -> _Scored:
    answer = scoring.answer(endpoint, given.rows, origin)
    return _Scored(answer, score_response(answer, given.as_arrow))


async def _season(runtime: Runtime, body: bytes, origin: RequestOrigin) -> Message:
    async with runtime.gate.call():
        long = len(body) > INLINE_BYTES
        request = await runtime.gate.work(partial(_read, pb.SeasonRequest, body), long)
        rows = await runtime.gate.work(partial(parse_season, request, runtime.settings.max_rows), long)
        answer = await runtime.gate.work(partial(runtime.season.answer, rows, origin), long=True)
        as_arrow = request.WhichOneof("body") == "arrow_stream"
        return await runtime.gate.work(partial(season_response, answer, as_arrow), long)


async def _root_cause(runtime: Runtime, body: bytes, origin: RequestOrigin) -> Message:
    async with runtime.analyses.call():
        request = _read(pb.RootCauseRequest, body)
        question = await runtime.analyses.work(partial(parse_question, request, runtime.settings.max_rows), long=True)
        return root_cause_response(await runtime.analyses.work(partial(runtime.root_causes.answer, question, origin), long=True))


async def _explain(runtime: Runtime, body: bytes, origin: RequestOrigin) -> Message:
    async with runtime.gate.call():
        request = _read(pb.ExplainRequest, body)
        rows = parse_rows(request.rows, min(explanations.MAX_ROWS, runtime.settings.max_rows))
        task = partial(explanations.explain, runtime.scoring, request.model, rows, origin)
        return explain_response(await runtime.gate.work(task, long=True))


@dataclass(frozen=True, slots=True)
class _Method:
    """One call of the contract."""

    endpoint: Endpoint
    answer: _Answer


METHODS: Final[Mapping[str, _Method]] = {
    "Score": _Method(SCORE, partial(_score, SCORE)),
    "PredictIncident": _Method(PREDICT, partial(_score, PREDICT)),
    "Season": _Method(SEASON, _season),
    "RootCause": _Method(ROOT_CAUSE, _root_cause),
    "Explain": _Method(EXPLAIN, _explain),
}


def handlers(runtime: Runtime) -> Any:
    """Return the handlers of the service; messages are read inside a call, so that a malformed one is refused like any other."""
    methods = {
        name: grpc.unary_unary_rpc_method_handler(cast(Any, partial(_counted, runtime, method)), None, _bytes_of)
        for name, method in METHODS.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


async def _counted(runtime: Runtime, method: _Method, body: bytes, context: Context) -> Message | None:
    """Answer one call; counted and timed whatever becomes of it."""
    started, status = time.perf_counter(), 500
    metadata = _metadata(context)
    request_id = request_id_from(dict(metadata).get("x-request-id"))
    try:
        origin = _origin(runtime, method.endpoint, metadata, context)
        await context.send_initial_metadata((("x-request-id", request_id),))
        response = await method.answer(runtime, body, RequestOrigin(request_id, origin))
        status = 200
    except ProblemError as error:
        status = error.problem.status
        await _abort(context, error.problem, request_id)
        return None
    except asyncio.CancelledError:
        status = LEFT  # the caller left, or its deadline is over
        raise
    except Exception:
        _logger.exception("gRPC %s failed, request id %s", method.endpoint.path, request_id)
        await _abort(context, FAILED, request_id)
        return None
    finally:
        runtime.metrics.requests.labels("grpc", method.endpoint.path, str(status)).inc()
        runtime.metrics.seconds.labels("grpc", method.endpoint.path).observe(time.perf_counter() - started)
    return response


def _origin(runtime: Runtime, endpoint: Endpoint, metadata: Sequence[tuple[str, str]], context: Context) -> str:
    """Return the tenant of a call that is allowed.

    Raises:
        ProblemError: 401 and 403 (token), 403 (a page of another site), 400 and 403 (tenant).
    """
    first = dict(reversed(metadata))
    if "origin" in first:
        rule, fix = "web pages may not call the service over gRPC", "call it from a program"
        detail = f"origin = {shown(first['origin'])}: {rule}. {fix[:1].upper()}{fix[1:]}."
        raise ProblemError(Problem(403, "foreign-site", detail, "origin", shown(first["origin"]), rule, fix))
    caller = runtime.auth.check(first.get("authorization"), endpoint.role, _is_local(context.peer()))
    return tenant_of_request([value for name, value in metadata if name == TENANT_FIELD], caller.tenants)


def _read(kind: Callable[[], Any], body: bytes) -> Any:
    """Return a message of a kind.

    Raises:
        ProblemError: 400, the bytes are none.
    """
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        name = message.DESCRIPTOR.name
        rule = f"the message is a serialized {name}"
        raise refused(
            "message", f"{len(body)} bytes", rule, "build it from serving/scoring/proto/scoring.proto", "not-protobuf"
        ) from error
    return message


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


async def _abort(context: Context, problem: Problem, request_id: str) -> None:
    trailing: Sequence[tuple[str, str | bytes]] = (("x-request-id", request_id), ("problem-bin", problem.to_json(request_id)))
    await context.abort(_STATUS.get(problem.status, grpc.StatusCode.UNKNOWN), problem.detail, cast(Any, trailing))


def _metadata(context: Context) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), value) for key, value in context.invocation_metadata() or () if isinstance(value, str))


def _is_local(peer: str) -> bool:
    """Return whether a gRPC peer ("ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5", "unix:…") is on this machine."""
    family, _, address = peer.partition(":")
    if family == "unix":
        return True
    host = address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return is_loopback(host)
