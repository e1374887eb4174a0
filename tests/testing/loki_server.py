"""A stand-in of Loki's range queries: the documented parameters, order, limits and answers, with faults to order."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.testing.local_server import served_by

Entry = tuple[dict[str, str], int, str]
"""Labels, ns since 1970, line."""


@dataclass
class LokiState:
    """What it holds and how it behaves; `faults` are answered first: status, headers, body."""

    entries: list[Entry] = field(default_factory=list)
    most_entries: int = 5000
    org: str = ""
    token: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


def answer(state: LokiState, parameters: dict[str, str], categorized: bool) -> dict[str, Any]:
    """Return the answer to a range query, oldest first: from `start` to before `end`, at most `limit` lines over all streams."""
    start, end, limit = (int(parameters[name]) for name in ("start", "end", "limit"))
    held = sorted((entry for entry in state.entries if start <= entry[1] < end), key=lambda entry: entry[1])[:limit]
    streams: dict[str, dict[str, Any]] = {}
    for labels, at_ns, line in held:
        stream = streams.setdefault(json.dumps(labels, sort_keys=True), {"stream": labels, "values": []})
        extra = [{"structuredMetadata": state.metadata, "parsed": {"x": "y"}}] if categorized and state.metadata else []
        stream["values"].append([str(at_ns), line, *extra])
    return {"status": "success", "data": {"resultType": "streams", "result": list(streams.values()), "stats": {}}}


@contextmanager
def loki(state: LokiState) -> Iterator[str]:
    """Serve it; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
            state.asked.append(parameters)
            self.reply(*self.decided(parts.path, parameters))

        def decided(self, path: str, parameters: dict[str, str]) -> tuple[int, dict[str, str], str]:
            if state.faults:
                return state.faults.pop(0)
            if path != "/loki/api/v1/query_range" or parameters["direction"] != "forward":
                return 404, {}, "404 page not found"
            if self.headers.get("X-Scope-OrgID", "") != state.org:
                return 401, {}, "no org id"
            if state.token and self.headers.get("Authorization") != f"Bearer {state.token}":
                return 401, {}, "unauthorized"
            if int(parameters["limit"]) > state.most_entries:
                limits = f"{parameters['limit']} > {state.most_entries}"
                return 400, {}, f"max entries limit per query exceeded, limit > max_entries_limit_per_query ({limits})"
            flags = self.headers.get("X-Loki-Response-Encoding-Flags", "")
            return 200, {"Content-Type": "application/json"}, json.dumps(answer(state, parameters, flags == "categorize-labels"))

        def reply(self, status: int, headers: dict[str, str], body: str) -> None:
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            content = body.encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with served_by(Handler) as url:
        yield url
