"""The BentoML service: `bentoml serve serving.scoring.service:Scorer`, or `python -m serving.scoring` with the suite's settings.

Routes, limits and refusals are the suite's own (`http_app`, `access`, `serving.http`); BentoML brings workers, supervision,
probes, metrics and tracing. The gRPC server runs on the worker's event loop, on the same models.
"""

import gc
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import bentoml
from prometheus_client import REGISTRY, CollectorRegistry

from serving.http.request_gate import Gate
from serving.scoring.adapters import runtime_from_environment
from serving.scoring.grpc_api.grpc_server import GrpcServer
from serving.scoring.http_api.access import Access, gate_rules
from serving.scoring.http_api.http_app import create_app
from serving.scoring.http_api.runtime_holder import RuntimeHolder
from serving.scoring.orphan_watch import OrphanWatch
from serving.scoring.runtime import Runtime

BuildRuntime = Callable[[CollectorRegistry], Runtime]
Hook = TypeVar("Hook", bound=Callable[..., Awaitable[None]])
_on_startup = cast(Callable[[Hook], Hook], bentoml.on_startup)
_on_shutdown = cast(Callable[[Hook], Hook], bentoml.on_shutdown)
NAME = "Scorer"
HARD_TIMEOUT_S = 15
"""BentoML's own time limit. It keeps a timer for every request that long, so it is short; `run.launch` sets it above
`serving.timeout_s`, which comes first and answers a problem."""


SWITCH_S = 0.0005
"""How long a thread beside the event loop (served log, models being followed) may keep the loop waiting; Python's own is 5 ms."""


def create_service(build_runtime: BuildRuntime) -> Any:
    """Return a BentoML service whose workers each build a runtime with `build_runtime`."""
    holder = RuntimeHolder()

    class Worker:
        """Anomaly scores, incident predictions and explanations for services."""

        def __init__(self) -> None:
            self._runtime = build_runtime(REGISTRY)
            self._grpc = GrpcServer(self._runtime)
            self._orphan = OrphanWatch()

        @_on_startup
        async def open(self) -> None:
            """Load the models, then answer over gRPC and HTTP."""
            _prepare_process()
            self._runtime.start()
            await self._grpc.start()
            holder.runtime = self._runtime
            self._orphan.start()
            gc.collect()
            gc.freeze()

        @_on_shutdown
        async def close(self) -> None:
            """Finish calls in progress and write every served row."""
            self._orphan.stop()
            await self._grpc.stop()
            self._runtime.stop()

    decorate = bentoml.service(
        name=NAME,
        traffic={"timeout": HARD_TIMEOUT_S},
        http={"host": "127.0.0.1", "port": 3100},
        logging={"access": {"enabled": False}},
    )
    service = decorate(bentoml.asgi_app(create_app(holder), path="/")(Worker))
    service.add_asgi_middleware(Gate, rules=gate_rules(holder))
    service.add_asgi_middleware(Access, holder=holder)
    return service


def _prepare_process() -> None:
    """Let the suite's own log lines go where BentoML's go, and the event loop wait for other threads briefly."""
    sys.setswitchinterval(SWITCH_S)
    own = logging.getLogger("serving")
    own.handlers = list(logging.getLogger("bentoml").handlers)
    own.setLevel(logging.INFO)
    own.propagate = False  # the root has the same handlers: every line would come twice


Scorer = create_service(runtime_from_environment)
