"""A server in the event loop of its process: bound before it starts, stopped when it is told to; on uvloop."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

_GRACE_S: Final = 5
_BACKLOG: Final = 1024
_IDLE_S: Final = 75
"""Connections that send nothing are closed after so long; senders keep theirs for a minute."""


def run_in_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run the main coroutine of a process; return what it returns."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class LoopServer:
    """Serves an application on a bound socket until stopped; it leaves signals alone."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._socket = listening
        config = uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = _Server(config)

    @property
    def port(self) -> int:
        """Return the port in use."""
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until `stop`; calls in progress then have 5 s."""
        await self._server.serve([self._socket])

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield
