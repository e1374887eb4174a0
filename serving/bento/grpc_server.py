"""gRPC beside HTTP in one process: the same models, limits, roles and refusals, with health and reflection.

Health and reflection are open to all: they tell states and the published contract, nothing else.
Source: grpc.health.v1 and grpc.reflection.v1alpha; BentoML's class services have no gRPC of their own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aiops.errors import ConfigurationError
from serving.bento import explaining
from serving.bento.call_gate import INLINE_BYTES
from serving.bento.grpc_rows import explain_response, parse_request, parse_rows, score_response
from serving.bento.runtime import Runtime
from serving.bento.scoring import EXPLAIN, PREDICT, SCORE, Endpoint
from serving.http.auth import is_loopback
from serving.http.problem import Problem, ProblemError
from serving.http.request_id import request_id_from
from serving.proto import scoring_pb2 as pb

SERVICE: Final = "aiops.scoring.v1.Scoring"
_GRACE_S: Final = 5.0
_STATUS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
Context = aio.ServicerContext[Any, Any]
Answered = Callable[[], Awaitable[object]]


class GrpcServer:
    """One gRPC server on the running event loop; `start`, `stop`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._health = cast(Any, health).aio.HealthServicer()  # its stubs leave out the submodule
        self._server: aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        settings = self._runtime.settings
        options = [
            ("grpc.so_reuseport", int(settings.workers > 1)),
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),
        ]
        server = aio.server(options=options)
        server.add_generic_rpc_handlers((_handlers(self._runtime),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            self.port = server.add_insecure_port(f"{host}:{settings.grpc_port}")
        except RuntimeError as error:
            raise ConfigurationError(
                f"serving.grpc_port = {settings.grpc_port}: cannot be bound on {settings.host}. Free it or set another."
            ) from error
        await server.start()
        self._server = server
        await self._show_health()
        loop = asyncio.get_running_loop()
        self._runtime.after_poll(lambda: _on(loop, self._show_health))

    async def stop(self) -> None:
        """Say NOT_SERVING, finish calls in progress, stop."""
        server, self._server = self._server, None
        if server is not None:
            await self._health.enter_graceful_shutdown()
            await server.stop(_GRACE_S)

    async def _show_health(self) -> None:
        ready = self._runtime.readiness().ready
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)


def _on(loop: asyncio.AbstractEventLoop, update: Callable[[], Awaitable[None]]) -> None:
    """Run `update` on `loop` from another thread; after the loop has ended there is nobody to tell."""
    if loop.is_running():
        loop.call_soon_threadsafe(lambda: asyncio.ensure_future(update()))


@dataclass(frozen=True, slots=True)
class _Servicer:
    """The three calls; each counts itself and turns problems into statuses."""

    runtime: Runtime

    async def score(self, endpoint: Endpoint, request: pb.ScoreRequest, context: Context) -> pb.ScoreResponse:
        request_id = _request_id(context)

        async def answered() -> pb.ScoreResponse:
            runtime = self.runtime
            async with runtime.gate.call():
                long = request.ByteSize() > INLINE_BYTES
                rows = await runtime.gate.work(partial(parse_request, request, runtime.settings.max_rows), long)
                task = partial(runtime.scoring.answer, endpoint, rows, request_id)
                answer = await runtime.gate.work(task, long or bool(rows.looked_up.any()))
                as_arrow = request.WhichOneof("body") == "arrow_stream"
                response = await runtime.gate.work(partial(score_response, answer, as_arrow), long)
            runtime.scoring.record(answer)
            return response

        return cast(pb.ScoreResponse, await self._counted(endpoint, request_id, context, answered))

    async def explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        request_id = _request_id(context)

        async def answered() -> pb.ExplainResponse:
            runtime = self.runtime
            async with runtime.gate.call():
                rows = parse_rows(request.rows, min(explaining.MAX_ROWS, runtime.settings.max_rows))
                task = partial(explaining.explain, runtime.scoring, request.model, rows, request_id)
                return explain_response(await runtime.gate.work(task, long=True))

        return cast(pb.ExplainResponse, await self._counted(EXPLAIN, request_id, context, answered))

    async def _counted(
        self, endpoint: Endpoint, request_id: str, context: Context, answered: Callable[[], Awaitable[object]]
    ) -> object:
        """Answer one call; counted and timed whatever becomes of it."""
        started = time.perf_counter()
        status = 500
        try:
            self.runtime.auth.check(_metadata(context).get("authorization"), endpoint.role, _is_local(context.peer()))
            await context.send_initial_metadata((("x-request-id", request_id),))
            response = await answered()
            status = 200
        except ProblemError as error:
            status = error.problem.status
            await _abort(context, error.problem, request_id)
        finally:
            self.runtime.metrics.requests.labels("grpc", endpoint.path, str(status)).inc()
            self.runtime.metrics.seconds.labels("grpc", endpoint.path).observe(time.perf_counter() - started)
        return response


def _handlers(runtime: Runtime) -> Any:
    servicer = _Servicer(runtime)
    scored = {"Score": SCORE, "PredictIncident": PREDICT}
    methods: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(
            cast(Any, partial(servicer.score, endpoint)), pb.ScoreRequest.FromString, pb.ScoreResponse.SerializeToString
        )
        for name, endpoint in scored.items()
    }
    methods["Explain"] = grpc.unary_unary_rpc_method_handler(
        cast(Any, servicer.explain), pb.ExplainRequest.FromString, pb.ExplainResponse.SerializeToString
    )
    return grpc.method_handlers_generic_handler(SERVICE, methods)


async def _abort(context: Context, problem: Problem, request_id: str) -> None:
    trailing: Sequence[tuple[str, str | bytes]] = (("x-request-id", request_id), ("problem-bin", problem.to_json(request_id)))
    await context.abort(_STATUS.get(problem.status, grpc.StatusCode.UNKNOWN), problem.detail, cast(Any, trailing))


def _metadata(context: Context) -> dict[str, str]:
    return {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def _request_id(context: Context) -> str:
    return request_id_from(_metadata(context).get("x-request-id"))


def _is_local(peer: str) -> bool:
    """Return whether a gRPC peer ("ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5", "unix:…") is on this machine."""
    family, _, address = peer.partition(":")
    if family == "unix":
        return True
    host = address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return is_loopback(host)
