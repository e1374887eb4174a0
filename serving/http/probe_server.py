"""Probes and metrics of a process that has no API: a few pages, without a framework, behind the checks that every port has."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from serving.host.log_rate_limit import LineLimit
from serving.http.cross_site import SiteRules
from serving.http.problem import PROBLEM_JSON, Problem, ProblemError, no_such_method, no_such_path
from serving.http.request_id import request_id_from

_lines = LineLimit(logging.getLogger(__name__))
_TAKES: Final = ("GET", "HEAD", "OPTIONS")
_IDLE_S: Final = 20.0
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """What a path answers, as plain text."""

    status: int
    body: bytes


class ProbeServer:
    """Serves pages by path, in threads of its own."""

    def __init__(self, pages: Mapping[str, Callable[[], Page]], host: str, port: int, site: SiteRules) -> None:
        self._server = _Server((host, port), _handler(pages, site))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="probes", daemon=True)

    @property
    def port(self) -> int:
        """Return the port in use."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say that a caller left, instead of a traceback a call."""
        _lines.warn("left", "probes: a caller left before it was answered")


def _handler(pages: Mapping[str, Callable[[], Page]], site: SiteRules) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "aiops"
        sys_version = ""
        timeout = _IDLE_S

        def answer(self) -> None:
            """Answer one request."""
            request_id = request_id_from(self.headers.get("x-request-id"))
            try:
                site.check({name.lower(): value for name, value in self.headers.items()})
                page, headers = self._page(), {"content-type": _TEXT}
            except ProblemError as error:
                problem: Problem = error.problem
                page = Page(problem.status, problem.to_json(request_id))
                headers = {"content-type": PROBLEM_JSON, **problem.headers(request_id)}
            self.send_response(page.status)
            for name, value in {**headers, "content-length": str(len(page.body)), "x-content-type-options": "nosniff"}.items():
                self.send_header(name, value)
            if self.command == "OPTIONS":
                self.send_header("allow", ", ".join(_TAKES))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

        def _page(self) -> Page:
            page = pages.get(self.path.partition("?")[0])
            if page is None:
                raise ProblemError(no_such_path(self.path))
            if self.command not in _TAKES:
                raise ProblemError(no_such_method(self.command, _TAKES))
            return Page(204, b"") if self.command == "OPTIONS" else page()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  name given by http.server
            """Say nothing: probes come every second."""

    for method in (*_TAKES, "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"):
        setattr(Handler, f"do_{method}", Handler.answer)
    return Handler
