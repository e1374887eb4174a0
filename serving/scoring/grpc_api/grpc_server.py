"""gRPC beside HTTP in one process: the same models, limits, roles and refusals, with health and reflection.

Health and reflection are open to all: they tell states and the published contract, nothing else.
Source: grpc.health.v1 and grpc.reflection.v1alpha; BentoML's class services have no gRPC of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aiops.errors import ConfigurationError
from serving.scoring.grpc_api.grpc_calls import SERVICE, handlers
from serving.scoring.runtime import Runtime

_GRACE_S: Final = 5.0


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
        server.add_generic_rpc_handlers((handlers(self._runtime),))
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
