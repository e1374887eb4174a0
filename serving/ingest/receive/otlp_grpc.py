"""OTLP over gRPC beside HTTP in one event loop: the same intake, tenants, tokens and refusals.

What may be sent again says when, in `grpc-status-details-bin` and in `google.rpc.retryinfo-bin`: the collector reads one, SDKs
the other, and both drop at once where it is absent. Source: OTLP specification, throttling; google/rpc/error_details.proto.
"""

import logging
import time
from functools import partial
from typing import Any, Final, cast

import grpc
from grpc import aio

from aiops.errors import ConfigurationError
from serving.http.auth import Authenticator, Role
from serving.http.loopback import is_loopback
from serving.http.problem import Problem, ProblemError
from serving.http.request_tenant import FIELD as TENANT_FIELD
from serving.http.request_tenant import tenant_of_request
from serving.ingest.receive.ingest_metrics import LOGS, METRICS, TRACES
from serving.ingest.receive.otlp_answers import retry_info, status_details
from serving.ingest.receive.otlp_endpoint import OtlpIntake, OtlpRefusal, refusing

METHODS: Final = {
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
}
"""Service by signal; each has the one method Export."""
_PATHS: Final = {"metrics": METRICS, "logs": LOGS, "traces": TRACES}
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_GRACE_S: Final = 5.0

log = logging.getLogger(__name__)
Context = aio.ServicerContext[Any, Any]


class OtlpGrpcServer:
    """One server on the running event loop; `start`, `stop`. At most `most` calls are in progress at once."""

    def __init__(self, intake: OtlpIntake, auth: Authenticator, largest_body: int, most: int) -> None:
        self._intake = intake
        self._auth = auth
        self._most = most
        self._busy = 0
        self._server = aio.server(options=[("grpc.max_receive_message_length", largest_body), ("grpc.so_reuseport", 0)])
        for signal, service in METHODS.items():
            export = grpc.unary_unary_rpc_method_handler(cast(Any, partial(self._export, signal)))
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": export}),))

    async def start(self, host: str, port: int) -> int:
        """Bind and serve; return the port.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        address = f"[{host}]" if ":" in host else host
        try:
            taken = self._server.add_insecure_port(f"{address}:{port}")
        except RuntimeError as error:
            message = (
                f"ingest.grpc_port = {port}: cannot be bound on {host}; stop what listens there, or set AIOPS_INGEST__GRPC_PORT"
            )
            raise ConfigurationError(message) from error
        await self._server.start()
        return int(taken)

    async def stop(self) -> None:
        """Finish calls in progress for up to 5 s, and stop."""
        await self._server.stop(_GRACE_S)

    async def _export(self, signal: str, body: bytes, context: Context) -> bytes:
        """Answer one call; whatever becomes of it is counted."""
        started, code = time.perf_counter(), grpc.StatusCode.UNKNOWN
        self._busy += 1
        try:
            if self._busy > self._most:
                raise OtlpRefusal(429, f"{self._most} calls are in progress (AIOPS_INGEST__MAX_IN_FLIGHT); send it again", 1)
            tenant = await refusing(self._tenant(context))
            largest = self._intake.receivers.limits_of(tenant)
            if len(body) > largest:
                raise OtlpRefusal(413, f"body: at most {largest} bytes (AIOPS_INGEST__MAX_BODY_BYTES); send less at once")
            answer = (await self._intake.accept(signal, tenant, "protobuf", body)).encoded("protobuf")
            code = grpc.StatusCode.OK
            return answer
        except OtlpRefusal as refusal:
            code = _CODES.get(refusal.status, grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(code, refusal.text, _trailers(code, refusal))
        finally:
            self._busy -= 1
            self._intake.receivers.metrics.answered_grpc(_PATHS[signal], code.name, time.perf_counter() - started)

    async def _tenant(self, context: Context) -> str:
        metadata = [(str(name).lower(), str(text)) for name, text in context.invocation_metadata() or ()]
        first = dict(reversed(metadata))
        if "origin" in first:
            raise ProblemError(Problem(403, "foreign-site", "origin: web pages may not call the receivers over gRPC"))
        caller = self._auth.check(first.get("authorization"), Role.OPERATOR, _is_local(context.peer()))
        return tenant_of_request([text for name, text in metadata if name == TENANT_FIELD], caller.tenants)


def _trailers(code: grpc.StatusCode, refusal: OtlpRefusal) -> tuple[tuple[str, bytes], ...]:
    details = status_details(code.value[0], refusal.text, refusal.retry_s)
    trailers = (("grpc-status-details-bin", details),)
    return (*trailers, ("google.rpc.retryinfo-bin", retry_info(refusal.retry_s))) if refusal.retry_s else trailers


def _is_local(peer: str) -> bool:
    """Return whether a peer ("ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5", "unix:…") is on this machine."""
    family, _, address = peer.partition(":")
    host = address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return family == "unix" or is_loopback(host)
