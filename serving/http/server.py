"""The API in a thread of its own: bound before it starts, stopped with all its streams."""

import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.types import ASGIApp

from aiops.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from fastapi import FastAPI

_GRACE_S: Final = 5
_START_S: Final = 20.0
_BACKLOG: Final = 512


class ApiServer:
    """Serves an application on one address. Thread-safe.

    `app.state.before_stop`, where there is one, is called first when it stops: it ends streams, which would outlive the stop.
    """

    def __init__(self, app: "FastAPI", host: str, port: int, setting: str = "responder.port") -> None:
        """Bind the address; `setting` names the port where that cannot be done.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        self._socket = bound(host, port, setting)
        self._before_stop: Callable[[], None] | None = getattr(app.state, "before_stop", None)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    @property
    def url(self) -> str:
        """Return the address; with port 0 the one that was found."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Start; return when it answers.

        Raises:
            Unavailable: it does not within 20 s.
        """
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise Unavailable(f"api: {self.url} does not answer; see the log")
            time.sleep(0.005)

    def stop(self) -> None:
        """End all streams, let calls in progress finish for up to 5 s, and stop."""
        if self._before_stop is not None:
            self._before_stop()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * _GRACE_S)
        self._socket.close()

    def _run(self) -> None:
        self._server.run([self._socket])


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve an application until SIGTERM or Ctrl-C; calls in progress then have 5 s."""
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False, timeout_graceful_shutdown=_GRACE_S)


def bound(host: str, port: int, setting: str = "responder.port") -> socket.socket:
    """Return a socket bound to an address; `setting` names the port where it cannot be.

    Raises:
        ConfigurationError: the address is taken, or not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"serving.host = {host}: {error.strerror}; give an address of this machine") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise ConfigurationError(
            f"{setting} = {port} on {host}: {error.strerror}; stop what listens there, or set {_variable(setting)}"
        ) from error
    return opened


def _variable(setting: str) -> str:
    return "AIOPS_" + setting.upper().replace(".", "__")
