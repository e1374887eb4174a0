"""A server of this machine for one test: of the standard library, served by a thread until the end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  name given by http.server
        """Print nothing."""


@contextmanager
def served_by(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1 and yield the address without a path; nothing is printed, what hangs is left behind."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (_Quiet, handler), {}))
    server.daemon_threads = True
    with serving_on(server) as url:
        yield url


@contextmanager
def serving_on(server: HTTPServer) -> Iterator[str]:
    """Serve by a server that is bound already and yield its address without a path."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
